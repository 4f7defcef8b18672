import type * as z from "zod";
import { tableOf } from "../../../control/patterns/tables";
import { completeFlag, type Flag, flagInput } from "../../../core/flags/model";
import type { Overlay } from "../../../core/flags/overlay";
import { packRoute, route } from "../../../core/gateway/model";
import type { PackedRoute } from "../../../core/gateway/packed";
import { type EnvironmentState, type LiveRollout, pack } from "../../../core/flags/snapshot";
import type { Signal } from "../../../core/health/signal";
import type { Predicate } from "../../../core/telemetry";
import type { Head } from "../../../core/wire";
import { sha256 } from "../../../worker/digest";

/** Valid by default: a test changes one field. Runs in Node and in workerd. */

export const SDK_KEY = "production-key";
export const STAGING_KEY = "staging-key";
export const CLIENT_KEY = "client-key";

export const aFlag = (change: Partial<Flag> = {}): Flag => ({
	...completeFlag(flagInput.parse({ key: change.key ?? "checkout", type: "boolean" })),
	...change,
});

/** As a plan with a guard or a limit on error_rate has it. */
export const ERROR_SIGNAL: Signal = { key: "error", metric: "error", slot: 0, harm: bothArms({ op: "equals", value: 1 }) };

export function bothArms(harm: Predicate): Signal["harm"] {
	return { candidate: harm, control: harm };
}

export const aRollout = (change: Partial<LiveRollout> = {}): LiveRollout => ({
	key: "kerykeion",
	flags: { natal: "true" },
	served: 50_000,
	phase: "phase_1",
	stage: 1,
	sinceMs: 0,
	before: null,
	excluded: { keys: [], segments: [] },
	retreats: false,
	signals: [ERROR_SIGNAL],
	scored: [],
	...change,
});

export const aState = (change: Partial<EnvironmentState> = {}): EnvironmentState => ({
	environment: "production",
	version: 1,
	publishedAtMs: 1_700_000_000_000,
	flags: [aFlag()],
	segments: [],
	damaged: [],
	rollouts: [],
	metrics: [],
	...change,
});

/** As people write it; blue is the baseline, green the candidate. */
export const aRoute = (change: Partial<z.input<typeof route>> = {}): PackedRoute =>
	packRoute(
		route.parse({
			key: "shop",
			host: "shop.example",
			flag: "green",
			origins: { false: "https://blue.example", true: "https://green.example" },
			...change,
		}),
	);

export interface Published {
	readonly head: Head;
	/** Bodies by `environment/version`. */
	readonly bodies: ReadonlyMap<string, string>;
}

/** What control would publish of these environments. */
export async function publish(
	states: readonly EnvironmentState[],
	{
		revision = 1,
		overlay = { kill: [], baseline: [] },
		guardedAtMs = Date.now(),
	}: { revision?: number; overlay?: Overlay; guardedAtMs?: number } = {},
): Promise<Published> {
	const bodies = new Map<string, string>();
	const environments: Record<string, Head["environments"][string]> = {};
	for (const state of states) {
		const { environment, version, publishedAtMs } = state;
		const { firstLine, body } = pack(state, tableOf);
		bodies.set(`${environment}/${version}`, body);
		const hosts = [...new Set((state.gateway?.routes ?? []).map(({ host }) => host))];
		environments[environment] = {
			version,
			digest: await sha256(firstLine),
			overlay,
			publishedAtMs,
			guardedAtMs,
			...(hosts.length > 0 ? { hosts } : {}),
		};
	}
	const keys: Head["keys"] = {
		[await sha256(SDK_KEY)]: { environment: "production", kind: "server" },
		[await sha256(CLIENT_KEY)]: { environment: "production", kind: "client" },
		[await sha256(STAGING_KEY)]: { environment: "staging", kind: "server" },
	};
	return { head: { revision, environments, keys }, bodies };
}
