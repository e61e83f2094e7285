import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { type TreeNode } from '../lib/api';
import { copyText } from '../lib/clipboard';
import { again, answer, busy, children, current, edit, fork, goTo, path, running } from '../lib/store';
import { textOf } from '../lib/tree';
import { toComposer } from '../lib/view';
import { Icon, type IconName } from './icons';
import { PartView } from './parts';

function Tool({ icon, name, act, disabled }: { icon: IconName; name: string; act: () => void; disabled?: boolean }) {
  return (
    <button type="button" aria-label={name} title={name} onClick={act} disabled={disabled}>
      <Icon name={icon} />
    </button>
  );
}

function Branches({ node }: { node: TreeNode }) {
  const all = children.value.get(node.parent) ?? [];
  if (all.length < 2) return null;
  const at = all.findIndex((other) => other.id === node.id);
  return (
    <span class="branches">
      <Tool icon="left" name="Branch before" disabled={at === 0 || busy.value} act={() => goTo(all[at - 1]!)} />
      <span aria-label={`Branch ${at + 1} of ${all.length}`}>
        {at + 1}/{all.length}
      </span>
      <Tool icon="right" name="Next branch" disabled={at === all.length - 1 || busy.value} act={() => goTo(all[at + 1]!)} />
    </span>
  );
}

const ends: Record<string, string> = {
  length: 'It ended at its limit of tokens.',
  context: 'The context is full.',
  cancelled: 'Stopped.',
  lost: 'The connection broke here. What follows, if anything, is lost.',
};

function Copy({ node }: { node: TreeNode }) {
  const copied = useSignal(false);
  const copy = async () => {
    await copyText(textOf(node));
    copied.value = true;
    setTimeout(() => (copied.value = false), 1500);
  };
  return <Tool icon={copied.value ? 'check' : 'copy'} name={copied.value ? 'Copied' : 'Copy'} act={() => void copy()} />;
}

function Message({ node }: { node: TreeNode }) {
  const mine = node.role === 'user';
  return (
    <article class={`message ${node.role}`} aria-label={mine ? 'You' : (node.model ?? 'Answer')}>
      <div class="parts">
        {node.parts.map((part, at) => (
          <PartView key={at} part={part} plain={mine} live={false} />
        ))}
        {node.finish && ends[node.finish] && <p class="ended">{ends[node.finish]}</p>}
      </div>
      <div class="tools">
        <Branches node={node} />
        <Copy node={node} />
        {mine ? (
          <Tool icon="edit" name="Edit: makes a branch" act={() => edit(node)} disabled={busy.value} />
        ) : (
          <Tool icon="again" name="Answer again: makes a branch" act={() => (void again(node), toComposer())} disabled={busy.value} />
        )}
        {mine && !children.value.has(node.id) && (
          <Tool icon="again" name="Answer this" act={() => (void answer(node), toComposer())} disabled={busy.value} />
        )}
        <Tool icon="fork" name="Fork: a conversation of its own from here" act={() => void fork(node)} disabled={busy.value || node.id < 0} />
        {node.usage && node.usage.decode_s > 0 && (
          <span class="cost">
            {node.usage.tokens} tokens, {(node.usage.tokens / node.usage.decode_s).toFixed(1)}/s
          </span>
        )}
      </div>
    </article>
  );
}

function Growing() {
  const now = running.value;
  if (!now || now.conversation !== current.value?.id) return null;
  return (
    <article class="message assistant growing" aria-label="Answer" aria-busy="true">
      <div class="parts">
        {now.parts.map((part, at) => (
          <PartView key={at} part={part} plain={false} live={at === now.parts.length - 1} />
        ))}
        <p class="phase" role="status">
          <span class="mill" aria-hidden="true" />
          {now.phase}
          {now.progress !== null && <progress value={now.progress} aria-label={now.phase.startsWith('Loading') ? 'The model comes from the disk' : 'The prompt is being read'} />}
        </p>
      </div>
    </article>
  );
}

// A component of its own, which an answer's growing does not touch.
const Past = () => (
  <>
    {path.value.map((node) => (
      <Message key={node.id} node={node} />
    ))}
  </>
);

export function Messages() {
  const box = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const scrolled = () => {
    const at = box.current!;
    follow.current = at.scrollHeight - at.scrollTop - at.clientHeight < 60;
  };
  useLayoutEffect(() => {
    if (follow.current) box.current?.scrollTo({ top: box.current.scrollHeight });
  });
  useEffect(() => {
    const end = () => follow.current && box.current?.scrollTo({ top: box.current.scrollHeight });
    const watch = new ResizeObserver(end); // a narrower window, a keyboard on the screen, a longer message to be written
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  running.value; // every event may make it longer
  return (
    <div class="messages" ref={box} onScroll={scrolled}>
      <div class="column">
        <Past />
        <Growing />
      </div>
    </div>
  );
}
