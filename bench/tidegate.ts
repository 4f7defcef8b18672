import { completeFlag, type Flag, flagInput } from "../core/flags/model";
import { evaluate, evaluateAll as everything, type Resolution } from "../core/flags/evaluate";
import type { Context } from "../core/flags/match";
import { NO_OVERLAY } from "../core/flags/overlay";
import { openSnapshot, type Snapshot } from "../core/flags/ruleset";
import { type LiveRollout, pack } from "../core/flags/snapshot";
import { bodyKey, type EnvironmentHead, type Head, HEAD_KEY } from "../core/wire";
import { tableOf } from "../control/patterns/tables";
import { ERROR_SIGNAL, aRollout, aState, bothArms } from "../test/workers/edge/fixture";
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

/** A rollout of all these flags, with what a guard and two limits look at. */
export function rolloutOf(flags: readonly Flag[]): LiveRollout {
	const signals = [
		ERROR_SIGNAL,
		{ ...ERROR_SIGNAL, key: "latency_ms>500", metric: "latency_ms", harm: bothArms({ op: "gt", value: 500 }) },
	];
	return aRollout({ flags: Object.fromEntries(flags.map(({ key, variants }) => [key, Object.keys(variants)[0] ?? ""])), signals });
}

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
