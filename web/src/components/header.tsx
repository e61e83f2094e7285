import { changeSettings, lastUsage, model, newConversation, server, settings, title } from '../lib/store';
import { dialog, sidebar } from '../lib/view';
import { Icon } from './icons';

const size = (bytes: number) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`);

function Meter() {
  const usage = lastUsage.value;
  if (!usage) return null;
  const used = usage.prompt_tokens + usage.tokens;
  const share = usage.context ? used / usage.context : 0;
  const speed = usage.decode_s > 0 ? usage.tokens / usage.decode_s : 0;
  const title =
    `${used.toLocaleString()} of ${usage.context.toLocaleString()} tokens of context; ` +
    `${usage.reused_tokens.toLocaleString()} of the prompt's ${usage.prompt_tokens.toLocaleString()} did not have to be read again`;
  return (
    <div class="meter" title={title}>
      {speed > 0 && <span class="speed">{speed >= 100 ? speed.toFixed(0) : speed.toFixed(1)} tokens/s</span>}
      <meter min={0} max={1} high={0.8} optimum={0} value={Math.min(1, share)} aria-label="Context in use" />
      <span class="share">{share < 0.01 ? '<1' : Math.round(share * 100)} %</span>
    </div>
  );
}

export function Header() {
  const tools = settings.value.tools.length;
  return (
    <header>
      <button type="button" class="quiet" aria-label="Conversations" aria-expanded={sidebar.value} title="Conversations (Ctrl+B)"
              onClick={() => (sidebar.value = !sidebar.value)}>
        <Icon name="menu" />
      </button>
      <h1>{title.value || 'New conversation'}</h1>
      <Meter />
      <label class="model" title="Model" hidden={!server.value?.models.length}>
        <select aria-label="Model" value={model.value?.name} onChange={(event) => changeSettings({ model: event.currentTarget.value })}>
          {server.value?.models.map((m) => (
            <option key={m.name} value={m.name}>
              {m.name}
              {m.status === 'loading' ? ' · loading' : m.status === 'absent' ? ` · ${size(m.bytes)}` : m === model.value ? '' : ' · ready'}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="quiet" aria-label={tools > 0 ? `Settings: ${tools} tools in use` : 'Settings'} title="Settings (Ctrl+,)" onClick={() => (dialog.value = 'settings')}>
        <Icon name="gear" />
        {tools > 0 && <sup>{tools}</sup>}
      </button>
      <button type="button" class="quiet new" aria-label="New conversation" title="New conversation (Ctrl+Shift+O)" onClick={newConversation}>
        <Icon name="plus" />
      </button>
    </header>
  );
}
