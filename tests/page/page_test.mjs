// What a person does at the page, in Debian's Chromium: node page_test.mjs URL CHROMIUM SCREENSHOTS PACKAGES GUARDED. One line for each step
// that holds; the first that does not ends it with exit 1. playwright-core and axe-core come from web/package-lock.json. GUARDED is the address
// of a second server, which wants the key "ground-by-hand-daily" and has a context of 256 tokens.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { answered, ask, browser, errors, expect, focused, foreign, guarded, open, screenshots, shots, step as stepOf, url } from './harness.mjs';
import { markdownTest } from './markdown_test.mjs';
import { speedTest } from './speed_test.mjs';
import { viewsTest } from './views_test.mjs';

const page = await open(url);
const step = (name, work) => stepOf(page, name, work);
const settings = async () => {
  await page.keyboard.press('Control+,');
  await page.waitForSelector('dialog[open]');
};
const done = async () => {
  await page.locator('dialog .done').click();
  await page.waitForSelector('dialog', { state: 'detached' });
};

await step('the page opens and names the model', async () => {
  await page.waitForSelector('.welcome strong');
  await page.waitForFunction(() => document.activeElement?.id === 'draft');
  await screenshots(page, 'welcome');
});

await step('a question is answered while one watches', async () => {
  await page.fill('#draft', 'Hello!');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('What can you <b>do</b>?');
  await page.keyboard.press('Enter');
  await answered(page, 1);
  expect((await page.locator('.message.user .plain').first().innerText()) === 'Hello!\nWhat can you <b>do</b>?', 'the question as it was written, in two lines');
  expect(/#\/c\/\d+$/.test(page.url()), 'an address of its own');
  expect((await page.locator('header .meter .share').innerText()).endsWith('%'), 'how much of the context is used');
  expect((await focused(page)) === 'draft', 'the field to have the focus');
});

await step('the history has it, also after a reload', async () => {
  await page.reload();
  await page.waitForSelector('.message.assistant');
  expect((await page.locator('.sidebar .row').count()) === 1, 'one conversation');
});

await step('every control is reached by Tab, and shows it', async () => {
  await page.emulateMedia({ reducedMotion: 'reduce' }); // nothing fades in
  const seen = new Set();
  for (let presses = 0; presses < 40; ++presses) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const ring = (x) => x && (getComputedStyle(x).outlineStyle !== 'none' || getComputedStyle(x).boxShadow !== 'none');
      const visible = e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      return { name: e.getAttribute('aria-label') ?? e.innerText, shown: visible && (ring(e) || ring(e.closest('.composer, .search'))) };
    });
    if (!at) continue; // from the end to the beginning
    expect(at.shown, `${at.name}: a ring to be seen`);
    seen.add(at.name);
  }
  for (const name of ['New conversation', 'Search conversations', 'Rename', 'Save as Markdown', 'Delete', 'Documentation', 'Conversations', 'Model',
                      'Settings', 'Copy', 'Edit: makes a branch', 'Answer again: makes a branch', 'Message', 'Attach files', 'Attach a folder'])
    expect(seen.has(name), `${name} to be reached, found ${[...seen].join(', ')}`);
  await page.emulateMedia({ reducedMotion: null });
});

await step('an edited question is a branch, and one can go back', async () => {
  await page.locator('#draft').focus();
  await page.keyboard.press('ArrowUp');
  await page.fill('#draft', 'Good morning!');
  await page.keyboard.press('Enter');
  await answered(page, 1);
  await page.locator('.message.user').first().hover();
  expect((await page.locator('.message.user .branches').first().innerText()).includes('2/2'), 'the second of two branches');
  await page.locator('.message.user [aria-label="Branch before"]').first().click();
  await page.waitForFunction(() => document.querySelector('.message.user .plain')?.textContent?.includes('What'));
});

await step('another answer to the same question is a branch', async () => {
  await page.locator('.message.assistant').last().hover();
  await page.locator('.message.assistant [aria-label^="Answer again"]').last().click();
  await answered(page, 1);
  await page.locator('.message.assistant .branches').last().waitFor();
});

await step('a fork is a conversation of its own', async () => {
  await page.locator('.message.assistant').last().hover();
  await page.locator('.message.assistant [aria-label^="Fork"]').last().click();
  await page.waitForFunction(() => document.querySelectorAll('.sidebar .row').length === 2);
});

await step('files and a folder are attached with their tokens', async () => {
  await page.keyboard.press('Control+Shift+O');
  await page.locator('input[type=file]').first().setInputFiles([
    { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('alpha beta gamma\n'.repeat(20)) },
    { name: 'photo.bin', mimeType: 'application/octet-stream', buffer: Buffer.from([0, 1, 2, 3, 0, 255]) },
  ]);
  await page.waitForFunction(() => /notes\.txt\s*\d/.test(document.querySelector('.attached')?.textContent ?? ''));
  expect((await page.locator('.problem').innerText()).includes('photo.bin'), 'the file that is no text to be named');
  const folder = path.join(shots, 'mill');
  mkdirSync(path.join(folder, 'stones'), { recursive: true });
  mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
  writeFileSync(path.join(folder, 'mill.py'), 'from stones import upper, lower\n\n\ndef grind(grain):\n    return upper.turn(lower, grain)\n');
  writeFileSync(path.join(folder, 'stones/upper.py'), 'def turn(lower, grain):\n    return [half for corn in grain for half in (corn, corn)]\n');
  writeFileSync(path.join(folder, 'stones/a_name_that_is_far_too_long_for_a_narrow_screen_but_exists_all_the_same.py'), 'lies = True\n');
  writeFileSync(path.join(folder, 'node_modules/left_out.js'), 'never read\n');
  await page.locator('input[type=file]').nth(1).setInputFiles(folder);
  await page.waitForFunction(() => document.querySelectorAll('.chip').length === 4 && !document.querySelector('.attached').textContent.includes('…'));
  expect(!(await page.locator('.attached').innerText()).includes('left_out'), 'node_modules to be left out');
  await screenshots(page, 'attaching');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await page.getByRole('button', { name: /^Leave out .*far_too_long/ }).click();
  expect((await page.locator('.chip').count()) === 3, 'one to be left out');
  await ask(page, 'What does the mill do?');
  await answered(page, 1);
  expect((await page.locator('.message.user .attachment').count()) === 3, 'the files to be in the question');
  await page.locator('.attachment summary', { hasText: 'mill.py' }).click();
  await page.mouse.move(5, 400);
  await screenshots(page, 'attached', { before: () => page.locator('.messages').evaluate((box) => (box.scrollTop = 0)) });
});

await step('settings are kept, keys are listed', async () => {
  await settings();
  await page.getByLabel('Temperature').fill('0');
  await page.getByLabel('Temperature').blur();
  await screenshots(page, 'settings');
  await done();
  await page.waitForFunction(() => document.activeElement?.id === 'draft');
  await settings();
  expect((await page.getByLabel('Temperature').inputValue()) === '0', 'the temperature that was set');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.locator('header h1').click();
  await page.keyboard.press('?');
  await page.locator('dialog', { hasText: 'Shift+Enter' }).waitFor();
  await page.keyboard.press('Control+b');
  await page.waitForSelector('.app.with-sidebar'); // a dialog keeps the page's keys to itself
  await screenshots(page, 'keys');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
});

await step('tools: one is asked first, and what it did is shown', async () => {
  await page.keyboard.press('Control+Shift+O');
  await settings();
  for (const box of await page.locator('.tool-group > input').all()) await box.check();
  await done();
  await ask(page, 'Move every txt into texts.');
  await page.waitForSelector('.approval', { timeout: 30_000 });
  const cards = await page.locator('.call .call-head code').allTextContents();
  expect(cards.join() === 'list_files,move_file', `a card for each call, not ${cards}`);
  await screenshots(page, 'approval');
  await page.locator('.approval .allow').first().click();
  // Whatever else it asks is denied, so that it comes to an end.
  for (let i = 0; i < 200 && (await page.locator('.growing').count()); ++i) {
    const deny = page.locator('.approval button:not(.allow)');
    if (await deny.count()) await deny.first().click().catch(() => {});
    await page.waitForTimeout(100);
  }
  await answered(page, 1);
  expect((await page.locator('.call.fine').count()) > 0, 'a call that was carried out');
  await page.locator('.call .call-head').first().click();
  await page.waitForSelector('.call .arguments');
  await screenshots(page, 'tools');
});

await step('the model asks, and is answered on the page', async () => {
  await page.keyboard.press('Control+Shift+O');
  await settings();
  await page.locator('.tool-group > input').first().check();
  await page.locator('.tool-group > input').first().uncheck();
  await page.locator('.tool-group details').first().evaluate((group) => (group.open = true));
  await page.locator('.tool', { has: page.locator('code', { hasText: /^ask_user$/ }) }).locator('input').check();
  await done();
  await ask(page, 'Call ask_user with question "what colour" and choices ["red", "blue"].');
  await page.waitForSelector('.question', { timeout: 30_000 });
  await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'Your answer');
  await page.keyboard.type('Blue, like the sky');
  await page.keyboard.press('Enter');
  for (let i = 0; i < 100 && (await page.locator('.growing').count()); ++i) {
    const no = page.locator('.question button', { hasText: 'Rather not say' });
    if (await no.count()) await no.first().click().catch(() => {});
    await page.waitForTimeout(100);
  }
  await answered(page, 1);
  await page.locator('.call .call-head').first().click();
  expect((await page.locator('.call .result').first().innerText()) === 'Blue, like the sky', 'the answer as the result of the call');
});

await step('an answer can be stopped, and what was said stays', async () => {
  await page.keyboard.press('Control+Shift+O');
  await settings();
  await page.locator('.tool-group > input').first().check();
  await done();
  await ask(page, 'Delete photo.jpg.');
  await page.waitForSelector('.approval'); // words come too fast to be stopped with certainty
  await page.keyboard.press('Escape');
  await page.waitForSelector('.growing', { state: 'detached' });
  await page.getByText('Stopped.').waitFor();
  expect((await page.locator('.message.assistant .call').count()) > 0, 'what was said');
  expect((await focused(page)) === 'draft', 'the field to have the focus');
});

await step('a search finds, a conversation can be saved and deleted', async () => {
  await page.keyboard.press('Control+k');
  await page.waitForFunction(() => document.activeElement?.id === 'search');
  await page.keyboard.type('Move every');
  await page.waitForFunction(() => document.querySelectorAll('.sidebar .row').length === 1);
  for (const [modifiers, kind] of [[[], 'md'], [['Shift'], 'json']]) {
    await page.locator('.sidebar .row').first().hover();
    const saved = page.waitForEvent('download');
    await page.locator('.sidebar .row [aria-label="Save as Markdown"]').first().click({ modifiers });
    const file = await saved;
    expect(file.suggestedFilename().endsWith(`.${kind}`), `a file of ${kind}, not ${file.suggestedFilename()}`);
    const text = readFileSync(await file.path(), 'utf8');
    expect(text.includes('Move every txt into texts.') && text.includes('move_file'), `question and calls in it, found ${text.slice(0, 200)}`);
    if (kind === 'json') JSON.parse(text);
  }
  page.once('dialog', (dialog) => dialog.accept());
  await page.locator('.sidebar .row').first().hover();
  await page.locator('.sidebar .row [aria-label="Delete"]').first().click();
  await page.waitForFunction(() => document.querySelectorAll('.sidebar .row').length === 0);
  await page.waitForFunction(() => document.activeElement?.id === 'draft');
});

await step('the documentation is beside it', async () => {
  if (!(await page.locator('.app.with-sidebar').count())) await page.keyboard.press('Control+b');
  const opened = page.context().waitForEvent('page');
  await page.locator('.home a').click();
  const docs = await opened;
  await docs.locator('.side a', { hasText: 'Architecture' }).click();
  await docs.waitForURL(`${url}/docs/architecture.html`);
  expect(await docs.locator('.picture img').first().evaluate((image) => image.complete || image.decode().then(() => true)), 'its picture');
  await screenshots(docs, 'docs');
  for (const href of await docs.locator('.side a').evaluateAll((links) => links.map((link) => link.href))) {
    await docs.setViewportSize({ width: 390, height: 780 });
    await docs.goto(href);
    expect((await docs.evaluate(() => document.documentElement.scrollWidth)) <= 390, `${href}: not to be wider than a narrow screen`);
  }
  await docs.close();
});

const guest = await open(guarded, { expected: /status of 4\d\d/ });
await stepOf(guest, 'a server with keys asks for one, until it is right', async () => {
  const dialog = guest.getByRole('dialog', { name: 'This server wants a key' });
  await dialog.waitFor();
  await guest.keyboard.press('Escape');
  await guest.keyboard.press('Escape');
  await dialog.waitFor(); // nothing can be done without
  await screenshots(guest, 'key');
  await dialog.getByLabel('Key').fill('a guess');
  await guest.keyboard.press('Enter');
  await dialog.getByRole('alert').waitFor();
  await screenshots(guest, 'wrong-key');
  await dialog.getByLabel('Key').fill('ground-by-hand-daily');
  await guest.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await guest.waitForSelector('.welcome strong');
  await guest.waitForFunction(() => document.activeElement?.id === 'draft');
  await guest.reload();
  await guest.waitForSelector('.welcome strong');
  expect((await guest.locator('dialog').count()) === 0, 'the key to be kept while the tab is open');
});
await stepOf(guest, 'a question that does not fit into the context is refused, with a reason', async () => {
  await ask(guest, 'a long word, '.repeat(300));
  await guest.locator('.error, .problem').first().waitFor();
  expect(/token/.test(await guest.locator('.error, .problem').first().innerText()), 'the reason');
  await guest.waitForSelector('.growing', { state: 'detached' });
  await screenshots(guest, 'refused', { before: () => guest.locator('.messages').evaluate((box) => (box.scrollTop = box.scrollHeight)) });
});
await guest.context().close();

await viewsTest();
await step('Markdown looks the same while it is written', () => markdownTest(fileURLToPath(new URL('../../docs/serve.md', import.meta.url))));
await speedTest();

await step('no request left the machine, and nothing went wrong on the way', async () => {
  expect(foreign.length === 0, `no foreign request, found ${foreign.join(', ')}`);
  expect(errors.length === 0, `no errors, found ${errors.join(' | ')}`);
});
await browser.close();
