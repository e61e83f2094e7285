// The documentation as a static site, from the Markdown that people read in the repository:  node build.mjs REPOSITORY OUT
// One flat folder of HTML without a script, which a browser shows from a disk as well as from the server. Navigation is what docs/README.md
// lists. A link that leads nowhere ends it with exit 1.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import hljs from 'highlight.js/lib/common';
import MarkdownIt from 'markdown-it';

const [repository, out] = process.argv.slice(2).map((folder) => path.resolve(folder));
const here = import.meta.dirname;
const problems = [];

// Pages outside of docs/ and what they are called; other files that a page may link to lie in docs/, and the licence.
const others = {
  'README.md': 'quern.html',
  'CHANGELOG.md': 'changelog.html',
  'CONTRIBUTING.md': 'contributing.html',
  'training/README.md': 'training.html',
  'models/pebble/README.md': 'pebble.html',
};
const files = { LICENSE: 'license.txt', 'models/pebble/survival.svg': 'survival.svg' };
const pages = { 'docs/README.md': 'index.html', ...others };
for (const name of readdirSync(path.join(repository, 'docs')).sort()) {
  if (name.endsWith('.md')) pages[`docs/${name}`] ??= name.replace(/\.md$/, '.html');
  else if (/\.(svg|png|webp|json)$/.test(name)) files[`docs/${name}`] = name;
}

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

// As code hosts make them, so that a link to a heading holds in both places.
function slug(text, seen) {
  const plain = text.toLowerCase().trim().replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replace(/ /g, '-') || 'section';
  const count = seen.get(plain) ?? 0;
  seen.set(plain, count + 1);
  return count ? `${plain}-${count}` : plain;
}

const textOf = (inline) => (inline.children ?? []).map((t) => (t.type === 'image' ? textOf(t) : t.content)).join('');

// Where a link from `source` leads in the site: an address, or nothing for a file that only the sources have.
function target(source, href) {
  if (/^(https?|mailto):/.test(href)) return href;
  const [file, anchor] = href.split('#', 2);
  const wanted = file ? path.posix.normalize(path.posix.join(path.posix.dirname(source), decodeURIComponent(file))) : source;
  const found = pages[wanted] ?? files[wanted];
  if (!found && !existsSync(path.join(repository, wanted))) problems.push(`${source}: ${href}: there is no such file`);
  if (!found) return null;
  return (file ? found : '') + (anchor ? `#${anchor}` : '');
}

const markdown = new MarkdownIt({ html: false, linkify: false });
const rules = markdown.renderer.rules;
const code = (text, language) => {
  const known = language && hljs.getLanguage(language);
  return `<pre tabindex="0"><code>${known ? hljs.highlight(text, { language, ignoreIllegals: true }).value : escape(text)}</code></pre>\n`;
};
rules.fence = (tokens, at) => code(tokens[at].content, tokens[at].info.trim().split(/\s+/)[0]);
rules.code_block = (tokens, at) => code(tokens[at].content, '');
rules.table_open = () => '<div class="table" tabindex="0"><table>\n';
rules.table_close = () => '</table></div>\n';
rules.link_open = (tokens, at, options, env, self) => {
  const token = tokens[at];
  const leads = target(env.source, token.attrGet('href'));
  env.links.push(leads !== null);
  if (leads === null) return '<span class="source" title="In quern’s sources">';
  token.attrSet('href', leads);
  if (/^https?:/.test(leads)) token.attrSet('rel', 'noopener noreferrer nofollow');
  return self.renderToken(tokens, at, options);
};
rules.link_close = (tokens, at, options, env, self) => (env.links.pop() ? self.renderToken(tokens, at, options) : '</span>');
rules.image = (tokens, at, options, env, self) => {
  const token = tokens[at];
  const leads = target(env.source, token.attrGet('src'));
  if (!leads || /^\w+:/.test(leads)) problems.push(`${env.source}: ${token.attrGet('src')}: no picture of the site`);
  token.attrSet('src', leads ?? '');
  token.attrSet('alt', textOf(token));
  token.attrSet('loading', 'lazy');
  return `<a class="picture" href="${escape(leads ?? '')}">${self.renderToken(tokens, at, options)}</a>`;
};

// {source, file, title, html, headings: [{level, id, text}], anchors}
function read(source, file) {
  const env = { source, links: [] };
  const tokens = markdown.parse(readFileSync(path.join(repository, source), 'utf8'), env);
  const seen = new Map();
  const headings = [];
  tokens.forEach((token, at) => {
    if (token.type !== 'heading_open') return;
    const text = textOf(tokens[at + 1]);
    const id = slug(text, seen);
    token.attrSet('id', id);
    headings.push({ level: Number(token.tag[1]), id, text });
    const link = new tokens[at + 1].constructor('html_inline', '', 0);
    link.content = ` <a class="anchor" href="#${id}" aria-label="Link to “${escape(text)}”">#</a>`;
    if (token.tag !== 'h1') tokens[at + 1].children.push(link);
  });
  const html = markdown.renderer.render(tokens, markdown.options, env);
  return { source, file, title: headings.find((h) => h.level === 1)?.text ?? path.basename(source, '.md'), html, headings };
}

// The index's headings and, below each, the pages that its table links to: [{title, pages: [file]}]
function groups() {
  const found = [];
  const tokens = markdown.parse(readFileSync(path.join(repository, 'docs/README.md'), 'utf8'), {});
  tokens.forEach((token, at) => {
    if (token.type === 'heading_open' && token.tag === 'h2') found.push({ title: textOf(tokens[at + 1]), pages: [] });
    for (const child of token.children ?? []) {
      const leads = child.type === 'link_open' ? target('docs/README.md', child.attrGet('href')) : null;
      if (leads?.endsWith('.html') && found.length) found.at(-1).pages.push(leads);
    }
  });
  return found;
}

const site = new Map(Object.entries(pages).map(([source, file]) => [file, read(source, file)]));
const navigation = groups();
const order = ['index.html', ...navigation.flatMap((group) => group.pages)];
for (const { source, file } of site.values()) if (!order.includes(file)) problems.push(`${source}: docs/README.md does not list it`);
for (const { source, html } of site.values())
  for (const [, file, anchor] of html.matchAll(/href="([^":#]*)(?:#([^"]*))?"/g)) {
    const page = file ? site.get(file) : site.get(pages[source]);
    if (anchor && page && !page.headings.some((h) => h.id === decodeURIComponent(anchor))) problems.push(`${source}: #${anchor}: ${page.source} has no such heading`);
  }

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cellipse cx='16' cy='21' rx='13' ry='7' fill='%23876445'/%3E%3Cellipse cx='16' cy='15' rx='13' ry='7' fill='%23c79a6b'/%3E%3Cellipse cx='16' cy='15' rx='3.5' ry='1.8' fill='%23453322'/%3E%3Cpath d='M25 13V4' stroke='%23453322' stroke-width='2.4' stroke-linecap='round'/%3E%3C/svg%3E";

function navigationOf(current) {
  const item = (file) => `<li><a href="${file}"${file === current ? ' aria-current="page"' : ''}>${escape(site.get(file).title)}</a></li>`;
  return navigation.map((group) => `<h2>${escape(group.title)}</h2>\n<ul>\n${group.pages.map(item).join('\n')}\n</ul>`).join('\n');
}

function neighbours(file) {
  const at = order.indexOf(file);
  const link = (to, word) => (to ? `<a class="${word}" href="${to}"><small>${word}</small> ${escape(site.get(to).title)}</a>` : '<span></span>');
  return `<nav class="neighbours" aria-label="Neighbours">${link(order[at - 1], 'before')}${link(order[at + 1], 'next')}</nav>`;
}

function whole({ file, title, html, headings }) {
  const inside = headings.filter((h) => h.level === 2 || h.level === 3);
  const contents =
    inside.length > 1
      ? `<nav class="contents" aria-label="On this page"><h2>On this page</h2>\n<ul>\n${inside
          .map((h) => `<li class="level-${h.level}"><a href="#${encodeURIComponent(h.id)}">${escape(h.text)}</a></li>`)
          .join('\n')}\n</ul></nav>`
      : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escape(title)}${file === 'index.html' ? '' : ' · quern'}</title>
<link rel="icon" href="${icon}">
<link rel="stylesheet" href="style.css">
</head>
<body>
<a class="skip" href="#content">To the text</a>
<header><a href="index.html"><img src="${icon}" alt="" width="28" height="28"> <strong>quern</strong> documentation</a></header>
<details class="menu"><summary>All pages</summary>
<nav aria-label="All pages">
${navigationOf(file)}
</nav></details>
<nav class="side" aria-label="All pages">
${navigationOf(file)}
</nav>
<main id="content">
<article>
${html}</article>
${neighbours(file)}
</main>
${contents}
</body>
</html>
`;
}

if (problems.length) {
  console.error(problems.map((problem) => `docs: ${problem}`).join('\n'));
  process.exit(1);
}
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const page of site.values()) writeFileSync(path.join(out, page.file), whole(page));
for (const [source, file] of Object.entries(files)) cpSync(path.join(repository, source), path.join(out, file));
cpSync(path.join(here, 'style.css'), path.join(out, 'style.css'));
