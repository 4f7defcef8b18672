/** How an environment's ways back went. */

export interface Taken {
	readonly strategy: string;
	readonly trigger: string;
	readonly isAutomatic: boolean;
	readonly detectMs: number | null;
	readonly recordedAtMs: number;
	readonly edgeSafeAtMs: number | null;
	readonly verifiedAtMs: number | null;
	/** Nobody follows it any more. */
	readonly hasEnded: boolean;
}

export interface Durations {
	readonly count: number;
	readonly meanMs: number | null;
	readonly p50Ms: number | null;
	readonly p95Ms: number | null;
	readonly maxMs: number | null;
}

export function rollbackStatistics(taken: readonly Taken[]) {
	const ended = taken.filter(({ hasEnded }) => hasEnded);
	const verified = ended.filter(({ verifiedAtMs }) => verifiedAtMs !== null);
	const automatic = taken.filter(({ isAutomatic }) => isAutomatic).length;
	return {
		count: taken.length,
		automatic,
		manual: taken.length - automatic,
		byTrigger: counts(taken.map(({ trigger }) => trigger)),
		byStrategy: counts(taken.map(({ strategy }) => strategy)),
		timeToDetect: durations(taken.map(({ detectMs }) => detectMs)),
		timeToSafe: durations(taken.map(({ edgeSafeAtMs, recordedAtMs }) => edgeSafeAtMs && edgeSafeAtMs - recordedAtMs)),
		ended: ended.length,
		verified: verified.length,
		successShare: ended.length === 0 ? null : verified.length / ended.length,
	};
}

function counts(names: readonly string[]): Readonly<Record<string, number>> {
	const found = Map.groupBy(names, (name) => name);
	return Object.fromEntries([...found].map(([name, each]) => [name, each.length] as const).sort(([, a], [, b]) => b - a));
}

/** By the nearest rank: a duration that was measured, even of few. */
function durations(given: readonly (number | null)[]): Durations {
	const known = given.filter((each) => each !== null).sort((a, b) => a - b);
	const at = (share: number): number | null => known[Math.ceil(known.length * share) - 1] ?? null;
	const meanMs = known.length === 0 ? null : Math.round(known.reduce((sum, each) => sum + each, 0) / known.length);
	return { count: known.length, meanMs, p50Ms: at(0.5), p95Ms: at(0.95), maxMs: at(1) };
}
