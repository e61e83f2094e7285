// How much of the time drawing takes: 5,000 pieces of Markdown that come into a conversation of 400 messages.
import { expect, open, step, url } from './harness.mjs';
import { conversation, scripted } from './scripted_server.mjs';

const kPieces = 5000;
const paragraph = (n) =>
  `## Part ${n}\n\nThe *upper* stone turns, the **lower** one lies still; \`grain_${n}\` runs between them.\n\n` +
  `- one thing\n- another, with a [link](https://example.org/${n})\n\n| a | b |\n|---|---|\n| ${n} | ${n * n} |\n\n` +
  '```python\n' + `def grind_${n}(grain: list[int]) -> int:\n    return sum(grain) * ${n}  # all of it\n` + '```\n\n';

function pieces() {
  let text = '';
  for (let n = 1; text.length < kPieces * 4; ++n) text += paragraph(n);
  return text.match(/[\s\S]{4}/g).slice(0, kPieces);
}

async function measured(page, work) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const read = async () => Object.fromEntries((await devtools.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
  await page.evaluate(() => {
    globalThis.longest = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((one) => (globalThis.longest = Math.max(globalThis.longest, one.duration))))
      .observe({ entryTypes: ['longtask'] });
  });
  const [before, began] = [await read(), performance.now()];
  await work();
  const after = await read();
  return {
    seconds: (performance.now() - began) / 1000,
    busy: after.TaskDuration - before.TaskDuration,
    script: after.ScriptDuration - before.ScriptDuration,
    layout: after.LayoutDuration + after.RecalcStyleDuration - before.LayoutDuration - before.RecalcStyleDuration,
    longest: await page.evaluate(() => globalThis.longest),
  };
}
const told = (what, m) =>
  `${what}: ${m.seconds.toFixed(1)} s, busy ${m.busy.toFixed(2)} s (script ${m.script.toFixed(2)}, layout ${m.layout.toFixed(2)}), longest task ${m.longest.toFixed(0)} ms`;

export async function speedTest() {
  const said = Array.from({ length: 400 }, (_, at) => (at % 2 ? paragraph(at) : `Question ${at}`));
  const all = pieces();
  const server = await scripted(url, {
    conversations: [conversation(1, 'Four hundred messages', said)],
    async turn(say) {
      for (let at = 0; at < all.length; ++at) {
        say('text', { text: all[at] });
        if (at % 5 === 4) await new Promise((soon) => setTimeout(soon, 4));
      }
      return { parts: [{ type: 'text', text: all.join('') }] };
    },
  });
  const page = await open(server.url);
  await step(page, 'a long conversation opens, and a long answer in it is drawn while it comes', async () => {
    const opened = await measured(page, async () => {
      await page.locator('.row a').first().click();
      await page.waitForFunction(() => document.querySelectorAll('.message').length === 400);
    });
    console.log(told('400 messages', opened));
    await page.fill('#draft', 'Go on');
    const streamed = await measured(page, async () => {
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.querySelectorAll('.message').length === 402 && !document.querySelector('.growing'), null, { timeout: 60_000, polling: 200 });
    });
    console.log(told(`${kPieces} pieces`, streamed), `${((streamed.busy / kPieces) * 1000).toFixed(2)} ms for each`);
    // lib/pace.ts gives drawing a quarter of the time; what is asked of it anew with every piece, and grows with the text, takes all there is.
    expect(streamed.script + streamed.layout < streamed.seconds / 2, 'drawing to leave half of the time to everything else');
    const typed = await measured(page, () => page.locator('#draft').pressSequentially('Forty letters, to see how typing feels.'));
    console.log(told('40 keys', typed));
  });
  await page.context().close();
  server.close();
}
