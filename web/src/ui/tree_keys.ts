/** Keyboard of a tree as the ARIA practices describe it, over the visible lines. Pure. */
import { fold } from '../fold';
import { groupLine, lineAt, type Tree } from '../tree';

export type TreeStep = { kind: 'go'; line: number } | { kind: 'toggle'; group: string } | { kind: 'open'; key: string } | null;

const PAGE_LINES = 12;

export function stepFor(tree: Tree, line: number, key: string): TreeStep {
  const last = tree.lines - 1;
  const go = (to: number): TreeStep => ({ kind: 'go', line: Math.max(0, Math.min(last, to)) });
  switch (key) {
    case 'ArrowDown':
      return go(line + 1);
    case 'ArrowUp':
      return go(line - 1);
    case 'PageDown':
      return go(line + PAGE_LINES);
    case 'PageUp':
      return go(line - PAGE_LINES);
    case 'Home':
      return go(0);
    case 'End':
      return go(last);
    default:
      return stepOnLine(tree, line, key);
  }
}

function stepOnLine(tree: Tree, line: number, key: string): TreeStep {
  const here = lineAt(tree, line);
  if (!here) return null;
  const { name, open } = here.group;
  if (here.kind === 'record') {
    if (key === 'Enter' || key === ' ') return { kind: 'open', key: here.record.key };
    return key === 'ArrowLeft' ? { kind: 'go', line: groupLine(tree, name) } : null;
  }
  if (key === 'Enter' || key === ' ') return { kind: 'toggle', group: name };
  if (key === 'ArrowRight') return open ? { kind: 'go', line: line + 1 } : { kind: 'toggle', group: name };
  return key === 'ArrowLeft' && open ? { kind: 'toggle', group: name } : null;
}

/** The next visible record behind `line` whose label starts with what was typed; wraps around. -1: none. */
export function typeAhead(tree: Tree, line: number, typed: string): number {
  const { bare } = fold(typed);
  const from = typed.length > 1 ? line : line + 1; // while a word grows, the line found so far may stay
  let found = -1;
  let first = -1;
  let at = 0;
  for (const group of tree.groups) {
    for (let index = group.from; group.open && index < group.to; index += 1) {
      const here = at + 1 + index - group.from;
      if (!tree.records[index]?.folded.bare.startsWith(bare)) continue;
      if (first < 0) first = here;
      if (here >= from) {
        found = here;
        break;
      }
    }
    if (found >= 0) break;
    at += 1 + (group.open ? group.to - group.from : 0);
  }
  return found >= 0 ? found : first;
}
