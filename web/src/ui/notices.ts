import { useCallback, useRef, useState } from 'react';
import type { Notice } from '../workplace';

export interface ShownNotice {
  id: number;
  notice: Notice;
}

/** A message stays until somebody closes it; the rest goes by itself. */
const STAY_MS = 7000;
const MOST = 5;

export function useNotices() {
  const [notices, setNotices] = useState<ShownNotice[]>([]);
  const next = useRef(1);
  const dismiss = useCallback((id: number) => setNotices((all) => all.filter((each) => each.id !== id)), []);
  const notify = useCallback(
    (notice: Notice) => {
      const id = next.current++;
      setNotices((all) => [...all, { id, notice }].slice(-MOST));
      if (notice.kind !== 'message') setTimeout(() => dismiss(id), STAY_MS);
    },
    [dismiss],
  );
  return { notices, notify, dismiss };
}
