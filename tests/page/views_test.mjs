// Views that a small model does not bring about: every kind of Markdown, long lists, a model that is being loaded, a connection that breaks.
import { expect, focused, open, screenshots, step, url } from './harness.mjs';
import { conversation, scripted } from './scripted_server.mjs';

const longCode = Array.from({ length: 200 }, (_, n) => `    total += weights[${n}] * grain[${n}];  // row ${n}`).join('\n');
const markdown = `# How a quern grinds

Two stones, **one above the other**. The upper one *turns*; grain goes in at its eye, and comes out at the rim as ~~dust~~ flour. The function
\`grind(grain, stones)\` does the same, see [the documentation](https://example.org/quern) or https://example.org/a/very/long/address/that/goes/on/and/on/without/any/space/${'and-on-'.repeat(12)}end.

## What one needs

1. Two stones
   - the lower one lies still
   - the upper one has a handle
2. Grain
3. Patience

> Grind slowly, and look at what comes out.

### Kinds of grain

| Grain | Protein | Gluten | Flour | Where it grows | Since |
|---|---:|:---:|---|---|---:|
| Wheat | 13 % | yes | white, fine, keeps long | nearly everywhere | 9500 BC |
| Rye | 10 % | little | dark, sticky | the north | 1800 BC |
| Buckwheat | 13 % | no | grey, nutty | poor soil | 6000 BC |

\`\`\`python
def grind(grain: list[float], turns: int = 3) -> float:
    """How much flour comes out."""
    flour = 0.0
    for turn in range(turns):  # each turn takes a third of what is left, and this comment is as long as comments should not be, so that the line has to be scrolled
        flour += (sum(grain) - flour) / 3
    return flour
\`\`\`

\`\`\`
text without a language
\`\`\`

---

- [x] a task that is done
- a line with \`a very long piece of inline code which does not fit into one line of a narrow screen\` in it
`;
const long = `Here are all 200 rows:\n\n\`\`\`cpp\n${longCode}\n\`\`\`\n\nThat is all.`;

async function markdownViews() {
  const server = await scripted(url, {
    conversations: [conversation(1, 'How a quern grinds', ['How does a quern grind? Show me *everything* you can write.', markdown]),
                    conversation(2, 'Two hundred rows', ['Write all rows.', long])],
  });
  const page = await open(server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
  await step(page, 'Markdown is set: headings, lists, tables, code that can be copied', async () => {
    await page.locator('.row a').first().click();
    await page.waitForSelector('.markdown table');
    await page.locator('figure.code', { hasText: 'grind' }).locator('[data-copy]').click();
    expect((await page.evaluate(() => navigator.clipboard.readText())).startsWith('def grind('), 'the code to be copied');
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })); // as over plain HTTP
    await page.locator('.message.user').hover();
    await page.locator('.message.user').getByRole('button', { name: 'Copy' }).click();
    await page.locator('#draft').focus();
    await page.keyboard.press('Control+v');
    expect((await page.inputValue('#draft')).startsWith('How does a quern grind?'), 'a question to be copied, without the clipboard object too');
    await page.fill('#draft', '');
    expect(await page.locator('.markdown a').first().getAttribute('rel') === 'noopener noreferrer nofollow', 'links that tell nothing');
    await page.locator('[data-copy]', { hasText: 'Copied' }).waitFor();
    await page.locator('[data-copy]', { hasText: 'Copied' }).waitFor({ state: 'detached' });
    await page.mouse.move(5, 400);
    await screenshots(page, 'markdown', { before: () => page.locator('.messages').evaluate((box) => (box.scrollTop = 0)) });
    await screenshots(page, 'markdown-end', { before: () => page.locator('.messages').evaluate((box) => (box.scrollTop = box.scrollHeight)) });
  });
  await step(page, 'two hundred lines of code are scrolled in their own box', async () => {
    await page.locator('.row a').nth(1).click();
    await page.waitForFunction(() => document.querySelectorAll('figure.code').length === 1);
    expect((await page.locator('figure.code pre').boundingBox()).height < 460, 'a box of its own');
    await screenshots(page, 'code');
  });
  await page.context().close();
  server.close();
}

async function manyConversations() {
  const day = 86_400;
  const topics = ['Grain', 'Stones', 'Water wheels', 'Flour for bread, and how finely it has to be ground', 'A windmill', 'Sieves', 'Rye'];
  const all = Array.from({ length: 200 }, (_, n) =>
    conversation(n + 1, `${topics[n % topics.length]} ${n + 1}`, n ? [] : ['What is rye?', 'A grain.'], { updated: Date.now() / 1000 - (n * n * day) / 500 }));
  const server = await scripted(url, { conversations: all });
  const page = await open(server.url);
  await step(page, 'two hundred conversations: by age, scrolled, and found by a search', async () => {
    await page.waitForFunction(() => document.querySelectorAll('.row').length === 200);
    await page.locator('.row a').first().click();
    await page.waitForSelector('.message.assistant');
    await page.locator('.row').nth(3).hover();
    await screenshots(page, 'conversations', { drawer: true });
    await page.keyboard.press('Control+k');
    await page.waitForFunction(() => document.activeElement?.id === 'search');
    await page.keyboard.type('windmill 1');
    await page.waitForFunction(() => document.querySelectorAll('.row').length === 16);
    await screenshots(page, 'search', { drawer: true, before: (width) => width > 900 && page.locator('#search').focus() });
    await page.fill('#search', 'nothing of that name');
    await page.waitForFunction(() => document.querySelector('.rows')?.innerText === 'Nothing found.');
  });
  await step(page, 'the drawer: opens with the focus in it, closes by Escape, by a click beside it and by a choice', async () => {
    await page.fill('#search', '');
    await page.setViewportSize({ width: 390, height: 780 });
    await page.waitForSelector('.app:not(.with-sidebar)');
    const menu = page.getByRole('button', { name: 'Conversations' });
    for (const close of [() => page.keyboard.press('Escape'), () => page.mouse.click(370, 300), () => page.locator('.row a').nth(2).click()]) {
      await menu.click();
      await page.waitForFunction(() => document.querySelector('.sidebar')?.contains(document.activeElement));
      await close();
      await page.waitForSelector('.app:not(.with-sidebar)');
      await page.waitForFunction(() => document.activeElement?.id === 'draft');
    }
  });
  await page.context().close();
  const phone = await open(server.url, { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true });
  await step(phone, 'on a phone nothing calls up its keyboard, and what a pointer would show is there', async () => {
    await phone.getByRole('button', { name: 'Conversations' }).tap();
    await phone.locator('.row a').first().tap();
    await phone.waitForSelector('.app:not(.with-sidebar)');
    await phone.waitForSelector('.message.assistant');
    expect((await phone.locator('.message.user .tools').evaluate((tools) => getComputedStyle(tools).opacity)) === '1', 'the tools of a message');
    await phone.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'Conversations');
    await phone.getByRole('button', { name: 'Conversations' }).tap();
    await phone.locator('.row.selected [aria-label="Rename"]').waitFor();
    await phone.getByRole('button', { name: 'Close' }).tap();
    await phone.getByRole('button', { name: 'Settings' }).tap();
    await phone.locator('dialog .done').tap();
    await phone.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'Settings');
  });
  await phone.context().close();
  server.close();
}

async function loading() {
  const models = [{ name: 'millstone', status: 'absent', bytes: 41_200_000_000 }, { name: 'pebble', status: 'loaded', bytes: 25_000_000, context: 4096 }];
  const script = { state: { version: '1.0.0', models, tools: [] } };
  let loaded;
  script.turn = async (say) => {
    models[0].status = 'loading';
    say('loading', { model: 'millstone' });
    say('loading', { model: 'millstone', done: 15_700_000_000, total: 41_200_000_000 });  // from the disk
    await new Promise((done) => (loaded = done));
    Object.assign(models[0], { status: 'loaded', context: 32768 });
    say('start', {});
    say('text', { text: 'Good morning.' });
    return { parts: [{ type: 'text', text: 'Good morning.' }] };
  };
  const server = await scripted(url, script);
  const page = await open(server.url);
  await step(page, 'a history that is empty says so', async () => {
    await page.waitForSelector('.welcome strong');
    expect((await page.locator('.rows').innerText()) === 'Conversations appear here.', 'a word about it');
    expect((await focused(page)) === 'draft', 'the field to have the focus');
    await screenshots(page, 'empty', { drawer: true });
  });
  await step(page, 'while a model is loaded, the page says which', async () => {
    await page.fill('#draft', 'Good morning!');
    await page.keyboard.press('Enter');
    await page.getByText('Loading millstone').waitFor();
    await page.waitForFunction(() => /loading/.test(document.querySelector('.model select')?.textContent ?? ''));
    expect((await focused(page)) === 'draft', 'the field to keep the focus');
    await screenshots(page, 'loading');
    loaded();
    await page.waitForSelector('.message.assistant:not(.growing)');
    await page.waitForFunction(() => !/loading/.test(document.querySelector('.model select')?.textContent ?? ''));
  });
  await page.context().close();
  server.close();
}

const question = { question: 'There are two folders with notes. Which one shall I sort?', choices: ['notes', 'notes/2025', 'both'] };

async function asked() {
  let done;
  const server = await scripted(url, {
    async turn(say) {
      const call = { type: 'call', id: 'call_1', name: 'ask_user', arguments: JSON.stringify(question) };
      say('text', { text: 'I looked at the folder. ' });
      say('called', call);
      say('question', { id: 'ask_1', call: 'call_1', ...question });
      await new Promise((go) => (done = go));
      return { parts: [{ type: 'text', text: 'I looked at the folder. ' }, { ...call, result: 'both', ok: true, seconds: 4.2 }] };
    },
  });
  const page = await open(server.url);
  await step(page, 'a question of the model has its choices, and the focus', async () => {
    await page.fill('#draft', 'Sort my notes by date, please.');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.question');
    expect((await focused(page)) === 'Your answer', 'the answer to have the focus');
    await screenshots(page, 'question');
    done();
    await page.waitForSelector('.growing', { state: 'detached' });
  });
  await page.context().close();
  server.close();
}

async function stopped() {
  const text = 'A long time ago there was a mill by a river. Its upper stone had been cut by a miller who';
  const server = await scripted(url, {
    async turn(say, request, response) {
      say('start', {});
      say('text', { text });
      await new Promise((done) => response.on('close', done));
      return { parts: [{ type: 'text', text }], finish: 'cancelled' };
    },
  });
  const page = await open(server.url);
  await step(page, 'an answer that was stopped says so', async () => {
    await page.fill('#draft', 'Tell me a story about a mill, please.');
    await page.keyboard.press('Enter');
    await page.locator('.growing', { hasText: 'by a miller who' }).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('Stopped.').waitFor();
    await page.waitForFunction(() => document.activeElement?.id === 'draft');
    await screenshots(page, 'stopped');
  });
  await page.context().close();
  server.close();
}

// A server that goes away in the middle of an answer, and is not there for the next.
async function gone() {
  let broken;
  const server = await scripted(url, {
    async turn(say, request, response) {
      say('start', {});
      say('text', { text: 'A mill has **two stones**, and the upper one' });
      await new Promise((done) => (broken = done));
      response.destroy();
      return undefined;
    },
  });
  const page = await open(server.url, { expected: /Failed to load resource|ERR_/ });
  await step(page, 'a connection that breaks leaves what was said, and a question that nobody took is given back', async () => {
    await page.fill('#draft', 'What does a mill have?');
    await page.keyboard.press('Enter');
    await page.locator('.growing', { hasText: 'the upper one' }).waitFor();
    broken();
    server.close();
    await page.getByRole('alert').waitFor();
    await page.getByText('The connection broke here').waitFor();
    expect((await page.locator('.message.assistant').innerText()).includes('two stones'), 'what was said');
    await page.fill('#draft', 'And what else?');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#draft').value === 'And what else?');
    await page.getByText('quern does not answer').waitFor();
    await screenshots(page, 'gone');
  });
  await page.context().close();
}

export async function viewsTest() {
  await markdownViews();
  await manyConversations();
  await loading();
  await asked();
  await stopped();
  await gone();
}
