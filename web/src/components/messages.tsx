import { useLayoutEffect, useRef } from 'preact/hooks';
import { type TreeNode } from '../lib/api';
import { again, busy, current, edit, fork, goTo, path, running } from '../lib/store';
import { siblings, textOf } from '../lib/tree';
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
  const all = siblings(current.value?.nodes ?? [], node);
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
};

function Message({ node }: { node: TreeNode }) {
  const mine = node.role === 'user';
  const copy = () => void navigator.clipboard.writeText(textOf(node));
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
        <Tool icon="copy" name="Copy" act={copy} />
        {mine ? (
          <Tool icon="edit" name="Edit: makes a branch" act={() => edit(node)} disabled={busy.value} />
        ) : (
          <Tool icon="again" name="Answer again: makes a branch" act={() => void again(node)} disabled={busy.value} />
        )}
        <Tool icon="fork" name="Fork: a conversation of its own from here" act={() => void fork(node)} disabled={busy.value} />
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
          {now.progress !== null && <progress value={now.progress} aria-label="The prompt is being read" />}
        </p>
      </div>
    </article>
  );
}

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
  running.value; // every event may make it longer
  return (
    <div class="messages" ref={box} onScroll={scrolled}>
      <div class="column">
        {path.value.map((node) => (
          <Message key={node.id} node={node} />
        ))}
        <Growing />
      </div>
    </div>
  );
}
