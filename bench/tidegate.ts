import { completeFlag, type Flag, flagInput } from "../core/flags/model";
import { evaluate, evaluateAll as everything, type Resolution } from "../core/flags/evaluate";
import type { Context } from "../core/flags/match";
import { NO_OVERLAY } from "../core/flags/overlay";
import { openSnapshot, type Snapshot } from "../core/flags/ruleset";
import { type LiveRollout, pack } from "../core/flags/snapshot";
import { bodyKey, type EnvironmentHead, type Head, HEAD_KEY } from "../core/wire";
import { tableOf } from "../control/patterns/tables";
import { ERROR_SIGNAL, aFlag, aRollout, aRoute, aState, bothArms, publish as publishStates } from "../test/workers/edge/fixture";
import { sha256 } from "../worker/digest";

/** All that the benchmarks import of the product: a change of its shapes fails here, in the type check. */
export const evaluateOne = (snapshot: Snapshot, key: string, context: Context): Resolution => evaluate(snapshot, NO_OVERLAY, key, context);

/** As worker/ofrep.ts answers a bulk request. */
export const evaluateAll = (snapshot: Snapshot, context: Context): Resolution[] => everything(snapshot, NO_OVERLAY, context);

/** Flags as the API would take them, with its checks and defaults. */
export const author = (inputs: readonly unknown[]): Flag[] => inputs.map((input) => completeFlag(flagInput.parse(input)));

const decoder = new TextDecoder();
export const openBody = (bytes: Uint8Array): Snapshot => openSnapshot(bytes, (part) => decoder.decode(part));

export const packBody = (
	environment: string,
	flags: readonly Flag[],
	rollouts: readonly LiveRollout[] = [],
): { firstLine: string; body: string } => pack(aState({ environment, flags, rollouts }), tableOf);

/** What a guard and two limits look at. */
const SIGNALS = [ERROR_SIGNAL, { ...ERROR_SIGNAL, key: "latency_ms>500", metric: "latency_ms", harm: bothArms({ op: "gt", value: 500 }) }];

/** A rollout of all these flags. */
export const rolloutOf = (flags: readonly Flag[]): LiveRollout =>
	aRollout({ flags: Object.fromEntries(flags.map(({ key, variants }) => [key, Object.keys(variants)[0] ?? ""])), signals: SIGNALS });

/** What control would publish of these environments: KV's content, with an SDK key each, which is `key-<environment>`. */
export async function publish(
	environments: Readonly<Record<string, readonly Flag[]>>,
	rollouts: Readonly<Record<string, readonly LiveRollout[]>> = {},
): Promise<{ head: Head; kv: Record<string, string> }> {
	const kv: Record<string, string> = {};
	const heads: Record<string, EnvironmentHead> = {};
	const keys: Record<string, Head["keys"][string]> = {};
	for (const [environment, flags] of Object.entries(environments)) {
		const { version, publishedAtMs } = aState();
		const { firstLine, body } = packBody(environment, flags, rollouts[environment]);
		kv[bodyKey(environment, version)] = body;
		const overlay = { kill: [], baseline: [] };
		heads[environment] = { version, digest: await sha256(firstLine), overlay, publishedAtMs, guardedAtMs: Date.now() };
		keys[await sha256(sdkKey(environment))] = { environment, kind: "server" };
	}
	const head: Head = { revision: 1, environments: heads, keys };
	kv[HEAD_KEY] = JSON.stringify(head);
	return { head, kv };
}

export const sdkKey = (environment: string): string => `key-${environment}`;

/** What control would publish of an environment with these routes, whose rollouts move a flag of their own key each. */
export async function publishGateway({
	version,
	routes,
	rollouts,
	overlaid = [],
	revision = version,
}: {
	readonly version: number;
	readonly routes: readonly NonNullable<Parameters<typeof aRoute>[0]>[];
	readonly rollouts: readonly { readonly key: string; readonly served: number }[];
	/** Rollouts that the head takes back. */
	readonly overlaid?: readonly string[];
	readonly revision?: number;
}): Promise<{ head: Head; kv: Record<string, string> }> {
	const flags = [...new Set(routes.flatMap(({ flag }) => flag ?? []))].map((key) => aFlag({ key }));
	const state = aState({
		version,
		flags,
		rollouts: rollouts.map(({ key, served }) => aRollout({ key, flags: { [key]: "true" }, served, signals: SIGNALS })),
		gateway: { routes: routes.map((route) => aRoute(route)), protections: [] },
	});
	const overlay = { kill: [], baseline: [...overlaid] };
	const { head, bodies } = await publishStates([state], { revision, overlay });
	const kv = Object.fromEntries([...bodies.values()].map((body) => [bodyKey(state.environment, version), body]));
	return { head, kv };
}
