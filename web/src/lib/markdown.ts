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
// A task of a list: `- [x] ground`.
renderer.core.ruler.after('inline', 'tasks', ({ tokens }) => {
  for (const [at, token] of tokens.entries()) {
    const text = token.type === 'inline' && tokens[at - 2]?.type === 'list_item_open' ? token.children?.[0] : undefined;
    const task = text?.type === 'text' && /^\[([ xX])\] /.exec(text.content);
    if (!task) continue;
    text.content = `${task[1] === ' ' ? '☐' : '☑'} ${text.content.slice(4)}`;
    tokens[at - 2]!.attrSet('class', 'task');
  }
});
renderer.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>';
renderer.renderer.rules.table_close = () => '</table></div>';

export const toHtml = (text: string): string => renderer.render(text);
export const highlightJson = (text: string): string =>
  text.length < kMaxHighlighted ? hljs.highlight(text, { language: 'json', ignoreIllegals: true }).value : escape(text);

// Markdown that is still being written. What is appended to a text changes only its last block, so each block before that is made into HTML once;
// an update costs what the last block costs, not what the text does. A line that is not whole yet may turn out to belong to the block
// before it (`- a`, then `---` becoming `---x`): only whole lines settle anything.
export class GrowingMarkdown {
  readonly blocks: string[] = []; // of HTML, which will not change
  private text = '';
  private settled = 0; // characters of it that are in blocks
  private seen = 0; // characters of it that were looked at: all of their lines are whole
  private env = {}; // where links lead: as far as it is known

  // The HTML of what comes after `blocks`.
  update(text: string): string {
    if (!text.startsWith(this.text)) {
      this.blocks.length = this.settled = this.seen = 0;
      this.env = {};
    }
    this.text = text;
    const whole = text.lastIndexOf('\n') + 1;
    if (whole > this.seen) this.settle(whole);
    return renderer.render(text.slice(this.settled), this.env);
  }

  private settle(whole: number) {
    this.seen = whole;
    const text = this.text.slice(this.settled, whole);
    const tokens = renderer.parse(text, this.env);
    const starts = tokens.flatMap((token, at) => (token.level === 0 && token.nesting >= 0 && token.map ? [at] : []));
    for (let i = 0; i + 1 < starts.length; ++i)
      this.blocks.push(renderer.renderer.render(tokens.slice(starts[i], starts[i + 1]), renderer.options, this.env));
    const last = tokens[starts.at(-1) ?? 0];
    if (starts.length > 1) this.settled += offsetOfLine(text, last!.map![0]);
  }
}

function offsetOfLine(text: string, line: number): number {
  let at = 0;
  for (let n = 0; n < line; ++n) at = text.indexOf('\n', at) + 1;
  return at;
}
