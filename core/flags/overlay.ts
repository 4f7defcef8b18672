/**
 * Emergencies, consulted before the snapshot: flags that are off for everybody, rollouts whose users are back on the
 * baseline. By construction it can only move a user to the off variant or to the baseline.
 */
export interface Overlay {
	readonly kill: readonly string[];
	/** Rollouts, or single flags of one: see flagOfRollout. */
	readonly baseline: readonly string[];
}

/** A flag that goes back while the rollout goes on with the others. No key has a colon. */
export const flagOfRollout = (rollout: string, flag: string): string => `${rollout}:${flag}`;

/** Which source has put this flag of a rollout on the baseline. */
export const baselineBy = ({ baseline }: ActiveOverlay, rollout: string, flag: string): string | undefined =>
	baseline.get(rollout) ?? baseline.get(flagOfRollout(rollout, flag));

/** The same, ready for look-ups: what is overlaid → which source said so. */
export interface ActiveOverlay {
	readonly kill: ReadonlyMap<string, string>;
	readonly baseline: ReadonlyMap<string, string>;
}

/** The source of an isolate's own breaker: it moves users for a minute, and they stay evidence of the arm that they were assigned to. */
export const FUSE = "fuse";

/** What decided which arm users are assigned to: everything but fuses. */
export function assigning(overlay: ActiveOverlay): ActiveOverlay {
	const { kill, baseline } = overlay;
	if (![...baseline.values()].includes(FUSE)) return overlay;
	return { kill, baseline: new Map([...baseline].filter(([, source]) => source !== FUSE)) };
}

export function isOverlay(value: unknown): value is Overlay {
	return isObject(value) && isListOfTexts(value["kill"]) && isListOfTexts(value["baseline"]);
}

/**
 * Break-glass is written by hand, in a hurry: one of the two lists may be left out. undefined: it is none. Beside an unknown
 * field no list may be missing: it was misspelt rather than left out.
 */
export function parseOverride(value: unknown): Overlay | undefined {
	if (!isObject(value)) return undefined;
	const names = Object.keys(value);
	const isSpelt = names.length > 0 && names.every((name) => name === "kill" || name === "baseline");
	const { kill, baseline } = isSpelt ? { kill: [], baseline: [], ...value } : value;
	const overlay = { kill, baseline };
	return isOverlay(overlay) ? overlay : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isListOfTexts(value: unknown): value is readonly string[] {
	return Array.isArray(value) && value.every((each) => typeof each === "string");
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
