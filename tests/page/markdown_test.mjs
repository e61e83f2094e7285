// Markdown that is still being written looks as the same text does once it is whole: at every letter of texts that are hard on it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, packages } from './harness.mjs';

const { GrowingMarkdown, toHtml } = await import(pathToFileURL(path.join(packages, 'src/lib/markdown.ts')));

const kHard = [
  '- a\n---x\n- b\n---\n',
  'a title\n===\n\nanother\n---\ntext',
  '1. one\n\n   still one\n2. two\n\nout of it\n\n    code\n\n    more code\n',
  '> quoted\nlazily\n\n> again\n\n- [ ] to do\n- [x] done\n\n\n- another list?\n* surely another\n',
  '| a | b |\n|---|---|\n| 1 | 2 |\n| 3\n\nafter\n| a |\n',
  '```js\nlet a = "```";\n\n\n# no title\n```\n# a title\n~~~\n```\n~~~\n**bold\nover lines**\n',
  'a [link](https://example.org) and https://example.org/b\\\n*half\n\n*other half*\n***\n+ x\n\n\n  y\n',
];

export function markdownTest(document) {
  for (const text of [...kHard, readFileSync(document, 'utf8').slice(0, 6000)]) {
    for (const step of [1, 7]) {
      const growing = new GrowingMarkdown();
      for (let end = step; end < text.length + step; end += step) {
        const last = growing.update(text.slice(0, end));
        const [found, wanted] = [growing.blocks.join('') + last, toHtml(text.slice(0, end))];
        if (found !== wanted) expect(false, `${JSON.stringify(text.slice(Math.max(0, end - 60), end))} to be ${wanted.slice(-200)}, found ${found.slice(-200)}`);
      }
    }
  }
}
