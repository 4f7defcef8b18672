import type { PackedCondition } from "./packedCondition";
import type { PackedFlag } from "./snapshot";

const CHARACTERS_MAX = 200;

/**
 * Parsed flags repeat the same few lists: names of variants, true and false, countries, plans. The function that this returns
 * gives equal short lists of all flags it is shown one copy, which keeps a snapshot's memory below three times its bytes.
 * It changes the flags it is given: they are fresh from JSON, and nobody else's yet.
 */
export function sharing(): (flag: PackedFlag) => PackedFlag {
	const lists = new Map<string, unknown>();
	const one = <T>(list: T): T => {
		if (!Array.isArray(list)) return list;
		const text = JSON.stringify(list);
		if (text.length > CHARACTERS_MAX) return list;
		const known = lists.get(text) as T | undefined;
		if (known === undefined) lists.set(text, list);
		return known ?? list;
	};
	const shareCondition = (condition: PackedCondition): void => {
		if ("all" in condition) condition.all.forEach(shareCondition);
		else if ("any" in condition) condition.any.forEach(shareCondition);
		else if ("not" in condition) shareCondition(condition.not);
		else if ("values" in condition) Object.assign(condition, { values: one(condition.values) });
	};
	return (flag) => {
		try {
			for (const rule of flag.rules) shareCondition(rule.when);
			return Object.assign(flag, { names: one(flag.names), values: one(flag.values), fallthrough: one(flag.fallthrough) });
		} catch {
			// What is not built like a flag fails when it is evaluated, alone.
			return flag;
		}
	};
}
