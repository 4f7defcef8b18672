const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `90s`, `5m`, `2h`, `3d` in milliseconds; undefined when it is no duration. */
export function durationMs(text: string): number | undefined {
	const found = /^(\d{1,6})([smhd])$/.exec(text);
	return found ? Number(found[1]) * UNITS_MS[found[2] as keyof typeof UNITS_MS] : undefined;
}

/** The other way round, in the largest unit that leaves no fraction beyond a tenth. */
export function printDuration(ms: number): string {
	for (const unit of ["d", "h", "m"] as const) if (ms >= UNITS_MS[unit]) return `${Number((ms / UNITS_MS[unit]).toFixed(1))}${unit}`;
	return `${Math.round(ms / 1_000)}s`;
}
