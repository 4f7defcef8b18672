import { evaluate, evaluateAll, type Metadata, type Resolution } from "../core/flags/evaluate";
import type { Context } from "../core/flags/match";
import type { SdkKey } from "../core/wire";
import type { Serving } from "./snapshots";

/** What the bearer of an SDK key may see: a client key lies in public, and opens flags marked public only. */
export interface Audience {
	readonly serving: Serving;
	readonly kind: SdkKey["kind"];
}

export function isVisible({ serving, kind }: Audience, flagKey: string): boolean {
	const flag = serving.snapshot.flag(flagKey);
	return flag !== undefined && (kind === "server" || (flag !== "corrupt" && flag.public === true));
}

/** A flag that the key does not open is not there. */
export function resolveFor(audience: Audience, flagKey: string, context: Context): Resolution {
	const { snapshot, overlay } = audience.serving;
	if (audience.kind === "server") return evaluate(snapshot, overlay, flagKey, context);
	if (!isVisible(audience, flagKey)) return { reason: "ERROR", errorCode: "FLAG_NOT_FOUND", metadata: { snapshot: snapshot.version } };
	const resolution = evaluate(snapshot, overlay, flagKey, context);
	return { ...resolution, metadata: withoutTargeting(resolution.metadata) };
}

/** All flags that the key opens, in the order of their keys. */
export function resolveAllFor(audience: Audience, context: Context): (readonly [key: string, Resolution])[] {
	const { snapshot, overlay } = audience.serving;
	const keys = snapshot.keys();
	if (audience.kind === "server") return evaluateAll(snapshot, overlay, context).map((resolution, i) => [keys[i] ?? "", resolution]);
	return keys.filter((key) => isVisible(audience, key)).map((key) => [key, resolveFor(audience, key, context)]);
}

/** Targeting never leaves through a client key: neither rules' names nor who is targeted or excluded. */
function withoutTargeting({ snapshot, bucket, rollout, phase, overlay, noKey }: Metadata): Metadata {
	const kept = { snapshot, bucket, rollout, phase, overlay, noKey };
	return Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)) as unknown as Metadata;
}
