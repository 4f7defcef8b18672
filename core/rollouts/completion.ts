import { BUCKETS } from "../flags/bucket";
import type { Condition } from "../flags/condition";
import type { Flag, Serve } from "../flags/model";
import { bucketsOf } from "../flags/snapshot";
import { candidateOf } from "./exposure";
import type { Plan } from "./plan";
import type { LiveState } from "./state";

/**
 * A flag once its rollout is completed: it goes on serving everybody what the rollout served them, with no rollout. Only
 * a holdback ends. What was served to a part of the users keeps the rollout's salt, so that nobody moves.
 */
export function completedFlag(flag: Flag, rollout: string, plan: Plan, state: Pick<LiveState, "excluded">): Flag {
	const baseline = flag.fallthrough;
	if (typeof baseline !== "string") throw new Error(`flag ${flag.key} splits its fallthrough`);
	const candidate = candidateOf(plan);
	const serveTo = (served: number): Serve =>
		served >= BUCKETS
			? candidate
			: [
					{ variant: candidate, weight: served },
					{ variant: baseline, weight: BUCKETS - served },
				];
	const { everybody, segments } = endOf(plan);
	const rules = [
		...excludedRule(rollout, plan, state, baseline),
		...segments.map(({ segment, served }, i) => ruleOf(`${i + 1} ${rollout} ${segment}`, { segment }, serveTo(served))),
	];
	const fallthrough = everybody === 0 ? baseline : serveTo(everybody);
	const splits = [fallthrough, ...rules.map(({ serve }) => serve)].some((each) => typeof each !== "string");
	return { ...flag, rules: [...flag.rules, ...rules], fallthrough, ...(splits ? { salt: rollout } : {}) };
}

/** What the last phase serves, without a holdback: to everybody, and to segments that get more. */
function endOf(plan: Plan): {
	readonly everybody: number;
	readonly segments: readonly { readonly segment: string; readonly served: number }[];
} {
	const rings = new Map<string | undefined, number>();
	for (const { audience, percent } of plan.phases) rings.set(audience, Math.max(bucketsOf(percent), rings.get(audience) ?? 0));
	const everybody = rings.get(undefined) ?? 0;
	const segments = [...rings].flatMap(([segment, served]) => (segment !== undefined && served > everybody ? [{ segment, served }] : []));
	return { everybody, segments: segments.sort((a, b) => b.served - a.served) };
}

/** Whether completion leaves splits, which take the flag's one salt. */
export function leavesSplits(plan: Plan): boolean {
	const { everybody, segments } = endOf(plan);
	return (everybody > 0 && everybody < BUCKETS) || segments.some(({ served }) => served < BUCKETS);
}

/** How many rules completion adds at most. */
export const rulesAdded = (plan: Plan): number => endOf(plan).segments.length + 1;

/** Who was kept out of the rollout stays so until somebody removes the rule. */
function excludedRule(rollout: string, { exclude }: Plan, { excluded }: Pick<LiveState, "excluded">, baseline: string): Flag["rules"] {
	const keys = [...new Set([...exclude.keys, ...excluded.keys])];
	const segments = [...new Set([...exclude.segments, ...excluded.segments])];
	const any: Condition[] = segments.map((segment) => ({ segment }));
	// A condition holds 1,000 values.
	for (let at = 0; at < keys.length; at += 1_000) any.push({ attribute: "targetingKey", op: "in", values: keys.slice(at, at + 1_000) });
	return any.length === 0 ? [] : [ruleOf(`${rollout} excluded`, { any }, baseline)];
}

function ruleOf(id: string, when: Condition, serve: Serve): Flag["rules"][number] {
	return { id: id.slice(0, 63), description: "as its rollout left it", when, serve };
}
