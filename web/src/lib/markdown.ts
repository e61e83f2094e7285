// Markdown as models write it, to HTML. No HTML of the text's own, and no images: nothing that is shown may ask another machine for anything.
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import ini from 'highlight.js/lib/languages/ini';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import markdown from 'highlight.js/lib/languages/markdown';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import MarkdownIt from 'markdown-it';

const languages = { bash, c, cpp, css, diff, go, ini, java, javascript, json, markdown, python, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

const escape = (text: string) =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

const kMaxHighlighted = 50_000; // characters; colours are not worth a frozen page

function code(text: string, language: string): string {
  const known = language && text.length < kMaxHighlighted && hljs.getLanguage(language);
  const inside = known ? hljs.highlight(text, { language, ignoreIllegals: true }).value : escape(text);
  return (
    `<figure class="code"><figcaption><span>${escape(language || 'text')}</span>` +
    `<button type="button" data-copy aria-label="Copy this code">Copy</button></figcaption>` +
    `<pre tabindex="0"><code>${inside}</code></pre></figure>`
  );
}

const renderer = new MarkdownIt({ html: false, linkify: true, breaks: false });
renderer.disable('image');
renderer.renderer.rules.fence = (tokens, at) => code(tokens[at]!.content, tokens[at]!.info.trim().split(/\s+/)[0] ?? '');
renderer.renderer.rules.code_block = (tokens, at) => code(tokens[at]!.content, '');
renderer.renderer.rules.link_open = (tokens, at, options, _env, self) => {
  tokens[at]!.attrSet('target', '_blank');
  tokens[at]!.attrSet('rel', 'noopener noreferrer nofollow');
  return self.renderToken(tokens, at, options);
};
renderer.renderer.rules.table_open = () => '<div class="table"><table>';
renderer.renderer.rules.table_close = () => '</table></div>';

export const toHtml = (text: string): string => renderer.render(text);
export const highlightJson = (text: string): string =>
  text.length < kMaxHighlighted ? hljs.highlight(text, { language: 'json', ignoreIllegals: true }).value : escape(text);
