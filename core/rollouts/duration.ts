const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `90s`, `5m`, `2h`, `3d` in milliseconds; undefined when it is no duration. */
export function durationMs(text: string): number | undefined {
	const found = /^(\d{1,6})([smhd])$/.exec(text);
	return found ? Number(found[1]) * UNITS_MS[found[2] as keyof typeof UNITS_MS] : undefined;
}

/** For a schema of zod: what to write instead of what is no duration; what is missing is told as everywhere. */
export const aDuration = {
	error: ({ input }: { readonly input?: unknown }): string | undefined => {
		if (input === undefined) return undefined;
		const count = typeof input === "number" || typeof input === "string" ? /^\d{1,6}$/.exec(`${input}`)?.[0] : undefined;
		return count === undefined
			? 'is no duration: write "90s", "5m", "2h" or "3d"'
			: `is no duration without its unit: write ${count}s, ${count}m or ${count}h`;
	},
};

/** The other way round, in the largest unit that leaves no fraction beyond a tenth. */
export function printDuration(ms: number): string {
	for (const unit of ["d", "h", "m"] as const) if (ms >= UNITS_MS[unit]) return `${Number((ms / UNITS_MS[unit]).toFixed(1))}${unit}`;
	return `${Math.round(ms / 1_000)}s`;
}
