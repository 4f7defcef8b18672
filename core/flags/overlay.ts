/**
 * Emergencies, consulted before the snapshot: flags that are off for everybody, rollouts whose users are back on the
 * baseline. By construction it can only move a user to the off variant or to the baseline.
 */
export interface Overlay {
	readonly kill: readonly string[];
	readonly baseline: readonly string[];
}

/** The same, ready for look-ups: what is overlaid → which source said so. */
export interface ActiveOverlay {
	readonly kill: ReadonlyMap<string, string>;
	readonly baseline: ReadonlyMap<string, string>;
}

export const NO_OVERLAY: ActiveOverlay = { kill: new Map(), baseline: new Map() };

/** Unites the sources; the first one that names a flag or a rollout is the one reported. */
export function unite(sources: Readonly<Record<string, Overlay>>): ActiveOverlay {
	const kill = new Map<string, string>();
	const baseline = new Map<string, string>();
	for (const [source, overlay] of Object.entries(sources)) {
		for (const flag of overlay.kill) if (!kill.has(flag)) kill.set(flag, source);
		for (const rollout of overlay.baseline) if (!baseline.has(rollout)) baseline.set(rollout, source);
	}
	return { kill, baseline };
}
