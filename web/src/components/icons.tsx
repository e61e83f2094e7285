// Line icons on a 24-pixel grid.
const shapes = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 7h16M4 12h16M4 17h16',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M7 7h10v10H7z',
  clip: 'M20 11.5l-8.2 8.2a5 5 0 0 1-7-7l8.8-8.9a3.4 3.4 0 0 1 4.8 4.8l-8.9 8.8a1.7 1.7 0 0 1-2.4-2.4l8.2-8.1',
  folder: 'M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  again: 'M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5',
  fork: 'M6 4v6a4 4 0 0 0 4 4h4a4 4 0 0 0 4-4V4M12 14v6',
  up: 'M6 14l6-6 6 6',
  down: 'M6 10l6 6 6-6',
  left: 'M14 6l-6 6 6 6',
  right: 'M10 6l6 6-6 6',
  gear: 'M12 15.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM19 12l2-1-1-3-2.3.3-1.4-1.6L17 4.5 14 3.300l-1.300 2h-1.400l-1.300-2L7 4.500l.7 2.200-1.400 1.600L4 8l-1 3 2 1-2 1 1 3 2.300-.3 1.400 1.600-.7 2.200 3 1.200 1.300-2h1.400l1.300 2 3-1.200-.7-2.200 1.400-1.600L20 16l1-3z',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  tool: 'M14.500 6.500a4 4 0 0 1 5-1l-3 3 .5 2 2 .5 3-3a4 4 0 0 1-6 5l-7.500 7.500a2 2 0 0 1-3-3L13 10a4 4 0 0 1 1.500-3.500z',
  check: 'M5 13l4 4L19 7',
  cross: 'M6 6l12 12M18 6L6 18',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  thought: 'M9 18h6M10 21h4M8 15a6 6 0 1 1 8 0c-.7.7-1 1.300-1 2H9c0-.7-.3-1.300-1-2z',
  save: 'M12 4v11M7 11l5 5 5-5M5 20h14',
};
export type IconName = keyof typeof shapes;

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    <path d={shapes[name]} />
  </svg>
);
