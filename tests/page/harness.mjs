// What every part of the page's test uses: a browser, steps that hold or end it, pictures of a view, and what axe-core finds in it.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

export const [url, executablePath, shots, packages, guarded] = process.argv.slice(2);
const require = createRequire(path.join(packages, 'x.js'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(shots, { recursive: true });

export const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'], ignoreDefaultArgs: ['--hide-scrollbars'] });
const wide = { width: 1280, height: 820 };
const narrow = { width: 390, height: 780 };

export const foreign = []; // requests that left the machine
export const errors = []; // what the console said, but for what a step provokes

// A window of its own, with nothing remembered. `expected`: errors that are part of what is tried.
export async function open(address, { expected = null, ...options } = {}) {
  const context = await browser.newContext({ viewport: wide, colorScheme: 'light', ...options });
  context.on('page', (page) => {
    page.on('request', (request) => {
      if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) foreign.push(request.url());
    });
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && !expected?.test(message.text()) && errors.push(message.text()));
  });
  const page = await context.newPage();
  await page.goto(address);
  await page.waitForSelector('main');
  return page;
}

export async function step(page, name, work) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name}: ${error.message.split('\n').slice(0, 6).join(' | ')}\n${error.stack.split('\n').find((line) => line.includes('.mjs')) ?? ''}`);
    await page.screenshot({ path: path.join(shots, 'failed.png') }).catch(() => {});
    await browser.close();
    process.exit(1);
  }
}
export const expect = (holds, what) => {
  if (!holds) throw new Error(`expected ${what}`);
};
export const answered = async (page, count) => {
  await page.waitForFunction((n) => document.querySelectorAll('.message.assistant:not(.growing)').length >= n, count, { timeout: 30_000 });
  await page.waitForSelector('.growing', { state: 'detached', timeout: 30_000 });
};
export const ask = async (page, text) => {
  await page.fill('#draft', text);
  await page.locator('#draft').press('Enter');
};
export const focused = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.getAttribute('aria-label'));

// What keeps people out: serious and critical findings only.
async function accessible(page, view) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const serious = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
  const told = serious.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} (${node.any[0]?.message ?? node.all[0]?.message ?? ''})`).join('; ')}`);
  expect(serious.length === 0, `${view}: no serious findings of axe, found ${told.join(' | ')}`);
}

// A view in both colours, wide and narrow; nothing in it is wider than the window. before: puts a width in order.
export async function screenshots(page, view, { before = null, drawer = false } = {}) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const size of [wide, narrow]) {
      await page.setViewportSize(size);
      await page.waitForTimeout(60);
      if (size === narrow && drawer) await page.getByRole('button', { name: 'Conversations' }).click();
      await before?.(size.width);
      await page.waitForTimeout(100);
      const name = `${view}-${size === wide ? 'wide' : 'narrow'}-${colorScheme}`;
      await page.screenshot({ path: path.join(shots, `${name}.png`) });
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width <= size.width, `${name}: nothing to be wider than the window, found ${width} pixels`);
      await accessible(page, name);
      if (size === narrow && drawer) await page.keyboard.press('Escape');
    }
  }
  await page.setViewportSize(wide);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForTimeout(60);
}
