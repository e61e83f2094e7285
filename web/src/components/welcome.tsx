import { model, server, settings } from '../lib/store';
import { dialog } from '../lib/view';

export function Welcome() {
  const m = model.value;
  return (
    <div class="welcome">
      <h2>What shall we grind?</h2>
      {m && (
        <p>
          <strong>{m.name}</strong> {m.status === 'loaded' ? 'is ready' : 'is loaded with the first question'}
          {m.context ? `, with ${m.context.toLocaleString()} tokens of context` : ''}. Nothing you write leaves this machine.
        </p>
      )}
      {server.value && server.value.tools.length > 0 && (
        <p>
          {settings.value.tools.length ? `${settings.value.tools.length} tools are in use. ` : `${server.value.tools.length} tools can be used. `}
          <button type="button" class="link" onClick={() => (dialog.value = 'settings')}>
            Choose
          </button>
        </p>
      )}
    </div>
  );
}
