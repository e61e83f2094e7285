// What comes in small pieces, handed on in larger ones: as often as the screen shows it, less often while drawing it takes long. Drawing then
// has a fixed share of the time, however long a text has become, and keys and scrolling have the rest.

const kFrame = 16; // ms
const kShare = 4; // of this many parts of the time, drawing has one

export function paced<T>(draw: (pieces: T[]) => void) {
  let pieces: T[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let cost = 0; // ms that the last drawing took
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (pieces.length === 0) return;
    const began = performance.now();
    const now = pieces;
    pieces = [];
    draw(now);
    setTimeout(() => (cost = performance.now() - began)); // components are drawn after the signals have changed
  };
  return {
    add(piece: T) {
      pieces.push(piece);
      timer ??= setTimeout(flush, Math.max(kFrame, (kShare - 1) * cost));
    },
    flush, // now, before what comes next
  };
}
