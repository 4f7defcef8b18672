import { bodyKey, HEAD_KEY, overrideKey } from "../core/wire";
import type { SnapshotStore } from "./sources";

/** KV caches a missing key for cacheTtl too, so the bodies' is short although they never change. */
export function storeOf(kv: KVNamespace): SnapshotStore {
	return {
		head: () => kv.get(HEAD_KEY, { type: "json", cacheTtl: 30 }),
		body: (environment, version) => kv.get(bodyKey(environment, version), { type: "arrayBuffer", cacheTtl: 60 }),
		override: (environment) => kv.get(overrideKey(environment), { type: "json", cacheTtl: 30 }),
	};
}
