/** Two rings that hold each other: an interlocked whole. */
export function Logo({ size }: { size: number }) {
  return (
    <svg className="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" className="logo-ground" />
      <g fill="none" className="logo-rings" strokeWidth="3">
        <circle cx="12.5" cy="16" r="6" />
        <circle cx="19.5" cy="16" r="6" />
      </g>
    </svg>
  );
}
