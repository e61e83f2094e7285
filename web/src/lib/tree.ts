// A conversation's messages as a tree: which are shown, and which branches there are beside them.
import type { TreeNode } from './api';

export function pathTo(nodes: TreeNode[], leaf: number | null): TreeNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const path: TreeNode[] = [];
  for (let at = leaf === null ? undefined : byId.get(leaf); at; at = at.parent === null ? undefined : byId.get(at.parent)) path.push(at);
  return path.reverse();
}

// Of every message (null: of none) those that answer it, oldest first.
export const childrenIn = (nodes: TreeNode[]): Map<number | null, TreeNode[]> => Map.groupBy(nodes, (node) => node.parent);

// The newest message below a node: where a branch that one switches to goes on.
export function newestBelow(nodes: TreeNode[], id: number): number {
  for (let at = id; ; ) {
    const children = nodes.filter((node) => node.parent === at);
    if (children.length === 0) return at;
    at = children.reduce((a, b) => (b.id > a.id ? b : a)).id;
  }
}

export const textOf = (node: TreeNode): string =>
  node.parts
    .filter((part) => part.type === 'text')
    .map((part) => part.text)
    .join('\n\n');
