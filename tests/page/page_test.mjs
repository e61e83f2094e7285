// What a person does at the page, in Debian's Chromium: node page_test.mjs URL CHROMIUM SCREENSHOTS. One line for each step that holds; the
// first that does not ends it with exit 1. playwright-core comes from web/package-lock.json.
import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

const [url, executablePath, shots, packages] = process.argv.slice(2);
const { chromium } = createRequire(path.join(packages, 'x.js'))('playwright-core');
mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 820 }, colorScheme: 'light' });
const page = await context.newPage();
const foreign = [];
const errors = [];
page.on('request', (request) => {
  if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) foreign.push(request.url());
});
page.on('pageerror', (error) => errors.push(error.message));
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));

async function step(name, work) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name}: ${error.message.split('\n').slice(0, 6).join(' | ')}`);
    await page.screenshot({ path: path.join(shots, 'failed.png') }).catch(() => {});
    await browser.close();
    process.exit(1);
  }
}
const expect = (holds, what) => {
  if (!holds) throw new Error(`expected ${what}`);
};
const answered = async (count) => {
  await page.waitForFunction((n) => document.querySelectorAll('.message.assistant:not(.growing)').length >= n, count, { timeout: 30_000 });
  await page.waitForSelector('.growing', { state: 'detached', timeout: 30_000 });
};

// Every view in both colours, wide and narrow.
async function screenshots(view, of = page) {
  for (const colorScheme of ['light', 'dark']) {
    await of.emulateMedia({ colorScheme });
    for (const [width, height] of [[1280, 820], [390, 780]]) {
      await of.setViewportSize({ width, height });
      if (width < 900 && (await of.locator('.app.with-sidebar').count())) await of.keyboard.press('Control+b');
      await of.waitForTimeout(80);
      await of.screenshot({ path: path.join(shots, `${view}-${width > 900 ? 'wide' : 'narrow'}-${colorScheme}.png`) });
    }
  }
  await of.setViewportSize({ width: 1280, height: 820 });
  await of.emulateMedia({ colorScheme: 'light' });
  if (!(await of.locator('.app.with-sidebar').count())) await of.keyboard.press('Control+b');
}

await step('the page opens and names the model', async () => {
  await page.goto(url);
  await page.waitForSelector('.welcome strong');
  await screenshots('welcome');
});

await step('a question is answered while one watches', async () => {
  await page.fill('#draft', 'Hello! <b>What</b> can you do?');
  await page.keyboard.press('Enter');
  await answered(1);
  expect((await page.locator('.message.user .plain').first().innerText()).includes('<b>What</b>'), 'the question as it was written');
  expect(/#\/c\/\d+$/.test(page.url()), 'an address of its own');
  expect((await page.locator('header .meter .share').innerText()).endsWith('%'), 'how much of the context is used');
});

await step('the history has it, also after a reload', async () => {
  await page.reload();
  await page.waitForSelector('.message.assistant');
  expect((await page.locator('.sidebar .row').count()) === 1, 'one conversation');
});

await step('an edited question is a branch, and one can go back', async () => {
  await page.locator('#draft').focus();
  await page.keyboard.press('ArrowUp');
  await page.fill('#draft', 'Good morning!');
  await page.keyboard.press('Enter');
  await answered(1);
  await page.locator('.message.user').first().hover();
  expect((await page.locator('.message.user .branches').first().innerText()).includes('2/2'), 'the second of two branches');
  await page.locator('.message.user [aria-label="Branch before"]').first().click();
  await page.waitForFunction(() => document.querySelector('.message.user .plain')?.textContent?.includes('What'));
});

await step('another answer to the same question is a branch', async () => {
  await page.locator('.message.assistant').last().hover();
  await page.locator('.message.assistant [aria-label^="Answer again"]').last().click();
  await answered(1);
  await page.locator('.message.assistant .branches').last().waitFor();
});

await step('a fork is a conversation of its own', async () => {
  await page.locator('.message.assistant').last().hover();
  await page.locator('.message.assistant [aria-label^="Fork"]').last().click();
  await page.waitForFunction(() => document.querySelectorAll('.sidebar .row').length === 2);
});

await step('files are attached with their tokens', async () => {
  await page.locator('input[type=file]').first().setInputFiles([
    { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('alpha beta gamma\n'.repeat(20)) },
    { name: 'photo.bin', mimeType: 'application/octet-stream', buffer: Buffer.from([0, 1, 2, 3, 0, 255]) },
  ]);
  await page.waitForFunction(() => /notes\.txt\s*\d/.test(document.querySelector('.attached')?.textContent ?? ''));
  expect((await page.locator('.problem').innerText()).includes('photo.bin'), 'the file that is no text to be named');
  await page.locator('.problem button').click();
  await page.locator('.chip button').first().click();
});

await step('settings are kept, keys are listed', async () => {
  await page.keyboard.press('Control+,');
  await page.waitForSelector('dialog[open]');
  await page.getByLabel('Temperature').fill('0');
  await page.getByLabel('Temperature').blur();
  await screenshots('settings');
  await page.locator('dialog .done').click();
  await page.locator('header h1').click();
  await page.keyboard.press('Control+,');
  expect((await page.getByLabel('Temperature').inputValue()) === '0', 'the temperature that was set');
  await page.locator('dialog .done').click();
});

await step('tools: one is asked first, and what it did is shown', async () => {
  await page.keyboard.press('Control+Shift+O');
  await page.keyboard.press('Control+,');
  for (const box of await page.locator('.tool-group > summary input').all()) await box.check();
  await page.locator('dialog .done').click();
  await page.fill('#draft', 'Move every txt into texts.');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.approval', { timeout: 30_000 });
  const cards = await page.locator('.call .call-head code').allTextContents();
  expect(cards.join() === 'list_files,move_file', `a card for each call, not ${cards}`);
  await screenshots('approval');
  await page.locator('.approval .allow').first().click();
  // Whatever else it asks is denied, so that it comes to an end.
  for (let i = 0; i < 200 && (await page.locator('.growing').count()); ++i) {
    const deny = page.locator('.approval button:not(.allow)');
    if (await deny.count()) await deny.first().click().catch(() => {});
    await page.waitForTimeout(100);
  }
  await answered(1);
  expect((await page.locator('.call.fine').count()) > 0, 'a call that was carried out');
  await page.locator('.call .call-head').first().click();
  await page.waitForSelector('.call .arguments');
  await screenshots('tools');
});

await step('the model asks, and is answered on the page', async () => {
  await page.keyboard.press('Control+Shift+O');
  await page.keyboard.press('Control+,');
  await page.locator('.tool-group > summary input').first().check();
  await page.locator('.tool-group > summary input').first().uncheck();
  await page.locator('.tool-group').first().evaluate((group) => (group.open = true));
  await page.locator('.tool', { has: page.locator('code', { hasText: /^ask_user$/ }) }).locator('input').check();
  await page.locator('dialog .done').click();
  await page.fill('#draft', "Call ask_user with question 'Which folder?' and choices ['red', 'green', 'blue'].");
  await page.keyboard.press('Enter');
  await page.waitForSelector('.question', { timeout: 30_000 });
  await screenshots('question');
  expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') === 'Your answer'), 'the answer to have the focus');
  await page.keyboard.type('Blue, like the sky');
  await page.keyboard.press('Enter');
  for (let i = 0; i < 100 && (await page.locator('.growing').count()); ++i) {
    const no = page.locator('.question button', { hasText: 'Rather not say' });
    if (await no.count()) await no.first().click().catch(() => {});
    await page.waitForTimeout(100);
  }
  await answered(1);
  await page.locator('.call .call-head').first().click();
  expect((await page.locator('.call .result').first().innerText()) === 'Blue, like the sky', 'the answer as the result of the call');
});

await step('an answer can be stopped, and what was said stays', async () => {
  await page.keyboard.press('Control+Shift+O');
  await page.fill('#draft', 'Please tell me a long story about a mill, a miller and everything that they ground.');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.growing');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.growing', { state: 'detached' });
  await page.waitForSelector('.message.user');
});

await step('a search finds, a conversation can be saved and deleted', async () => {
  await page.keyboard.press('Control+k');
  await page.fill('#search', 'texts');
  await page.waitForFunction(() => document.querySelectorAll('.sidebar .row').length === 1);
  await page.locator('.sidebar .row').first().hover();
  const saved = page.waitForEvent('download');
  await page.locator('.sidebar .row [aria-label="Save as Markdown"]').first().click();
  expect((await saved).suggestedFilename().endsWith('.md'), 'a file of Markdown');
  page.once('dialog', (dialog) => dialog.accept());
  await page.locator('.sidebar .row').first().hover();
  await page.locator('.sidebar .row [aria-label="Delete"]').first().click();
  await page.waitForFunction(() => document.querySelectorAll('.sidebar .row').length === 0);
});

await step('the documentation is beside it', async () => {
  if (!(await page.locator('.app.with-sidebar').count())) await page.keyboard.press('Control+b');
  const opened = context.waitForEvent('page');
  await page.locator('.home a').click();
  const docs = await opened;
  docs.on('request', (request) => !request.url().startsWith(url) && !request.url().startsWith('data:') && foreign.push(request.url()));
  docs.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await docs.locator('.side a', { hasText: 'Architecture' }).click();
  await docs.waitForURL(`${url}/docs/architecture.html`);
  expect(await docs.locator('.picture img').first().evaluate((image) => image.complete || image.decode().then(() => true)), 'its picture');
  expect((await docs.evaluate(() => document.documentElement.scrollWidth)) <= 1280, 'nothing to be wider than the window');
  await screenshots('docs', docs);
  for (const href of await docs.locator('.side a').evaluateAll((links) => links.map((link) => link.href))) {
    await docs.setViewportSize({ width: 390, height: 780 });
    await docs.goto(href);
    expect((await docs.evaluate(() => document.documentElement.scrollWidth)) <= 390, `${href}: not to be wider than a narrow screen`);
  }
  await docs.close();
});

await step('no request left the machine, and nothing went wrong on the way', async () => {
  expect(foreign.length === 0, `no foreign request, found ${foreign.join(', ')}`);
  expect(errors.length === 0, `no errors, found ${errors.join(' | ')}`);
});
await browser.close();
