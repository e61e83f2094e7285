import { useSignal } from '@preact/signals';
import { Fragment } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { type ConversationInfo } from '../lib/api';
import { conversations, current, download, newConversation, refreshList, remove, rename, search } from '../lib/store';
import { closeDrawer, drawer, focusSoon, sidebar, toComposer } from '../lib/view';
import { Icon } from './icons';

const day = 86_400;
function age(updated: number): string {
  const now = Date.now() / 1000;
  const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
  if (updated >= midnight) return 'Today';
  if (updated >= midnight - day) return 'Yesterday';
  if (updated >= now - 7 * day) return 'This week';
  if (updated >= now - 31 * day) return 'This month';
  return 'Earlier';
}

function Row({ conversation }: { conversation: ConversationInfo }) {
  const renaming = useSignal(false);
  const selected = current.value?.id === conversation.id;
  const done = () => ((renaming.value = false), focusSoon(`.row a[href="#/c/${conversation.id}"]`));
  if (renaming.value)
    return (
      <input
        class="rename"
        aria-label="Title"
        value={conversation.title}
        ref={(input) => input?.focus()}
        onBlur={() => (renaming.value = false)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' && event.key !== 'Enter') return;
          event.stopPropagation();
          done();
          if (event.key === 'Escape') return;
          void rename(conversation.id, event.currentTarget.value.trim() || conversation.title);
        }}
      />
    );
  return (
    <div class={`row ${selected ? 'selected' : ''}`}>
      <a href={`#/c/${conversation.id}`} aria-current={selected ? 'page' : undefined} onClick={closeDrawer} title={conversation.title}>
        {conversation.title || 'New conversation'}
      </a>
      <span class="row-tools">
        <button type="button" aria-label="Rename" title="Rename" onClick={() => (renaming.value = true)}>
          <Icon name="edit" />
        </button>
        <button type="button" aria-label="Save as Markdown" title="Save as Markdown (shift: JSON)"
                onClick={(event) => void download(conversation, event.shiftKey ? 'json' : 'markdown')}>
          <Icon name="save" />
        </button>
        <button type="button" aria-label="Delete" title="Delete"
                onClick={() => confirm(`Delete “${conversation.title}”? It cannot be brought back.`) && (void remove(conversation.id), toComposer())}>
          <Icon name="trash" />
        </button>
      </span>
    </div>
  );
}

export function Sidebar() {
  let group = '';
  const nav = useRef<HTMLElement>(null);
  const over = drawer.value;
  useEffect(() => {
    if (!over) return;
    if (!nav.current?.contains(document.activeElement)) nav.current?.focus();
    return () => void (toComposer() || focusSoon('header button'));
  }, [over]);
  return (
    <nav class="sidebar" aria-label="Conversations" ref={nav} tabindex={-1} inert={!sidebar.value}>
      <div class="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <ellipse cx="16" cy="21" rx="13" ry="7" class="stone-low" />
          <ellipse cx="16" cy="15" rx="13" ry="7" class="stone-high" />
          <ellipse cx="16" cy="15" rx="3.5" ry="1.8" class="stone-eye" />
          <path d="M25 13V4" class="stone-handle" />
        </svg>
        <strong>quern</strong>
        <button type="button" class="quiet" aria-label="New conversation" title="New conversation (Ctrl+Shift+O)" onClick={() => (newConversation(), closeDrawer())}>
          <Icon name="plus" />
        </button>
        {over && (
          <button type="button" class="quiet" aria-label="Close" title="Close (Escape)" onClick={closeDrawer}>
            <Icon name="cross" />
          </button>
        )}
      </div>
      <label class="search">
        <Icon name="search" />
        <input id="search" type="search" placeholder="Search" aria-label="Search conversations" value={search.value}
               onInput={(event) => ((search.value = event.currentTarget.value), void refreshList())} />
      </label>
      <div class="rows">
        {conversations.value.map((conversation) => {
          const title = age(conversation.updated);
          const heading = title !== group ? <h2>{(group = title)}</h2> : null;
          return (
            <Fragment key={conversation.id}>
              {heading}
              <Row conversation={conversation} />
            </Fragment>
          );
        })}
        {conversations.value.length === 0 && <p class="none">{search.value ? 'Nothing found.' : 'Conversations appear here.'}</p>}
      </div>
      <p class="home">
        Everything stays on this machine.{' '}
        <a href="docs/" target="_blank" rel="noopener">
          Documentation
        </a>
      </p>
    </nav>
  );
}
