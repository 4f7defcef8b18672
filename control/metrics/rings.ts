import type { ArmSums } from "../../core/health/observation";
import type { MeanSums } from "../../core/statistics/sequences";
import type { Of, Question } from "./source";

/**
 * Users of different rings are told apart. The tables in D1 have no column for it: a user's stage and a harm's served share carry
 * the ring's number in their millions, which neither ever reaches.
 */
export const RING = 1_000_000;

/** Every ring that users of the question's stage may be in, 0 for those of none. */
export const ringsAsked = ({ rings }: Pick<Question, "rings">): readonly number[] =>
	Array.from({ length: (rings?.count ?? 0) + 1 }, (_, ring) => ring);

/** Rows of single rings as rows of all of them, put together by `merge`, and those of the newest once more by themselves. */
export function withNewest<T extends { readonly rollout: string; readonly ring?: number }>(
	rows: readonly T[],
	questions: readonly Question[],
	keyOf: (row: T) => readonly string[],
	merge: (a: T, b: T) => T,
): T[] {
	const asked = new Map(questions.flatMap(({ rollout, rings }) => (rings ? [[rollout, rings.newest]] : [])));
	const groups = Map.groupBy(
		rows.filter(({ rollout }) => asked.has(rollout)),
		(row) => JSON.stringify([row.rollout, ...keyOf(row)]),
	);
	const ofRings = [...groups.values()].flatMap((group) => {
		const newest = group.filter(({ rollout, ring }) => ring !== undefined && ring === asked.get(rollout));
		const { ring: _, ...all } = group.reduce(merge);
		return [all as T, ...newest];
	});
	return [...rows.filter(({ rollout }) => !asked.has(rollout)), ...ofRings];
}

/** Of different users. */
export function sumOf(a: Of<ArmSums>, b: Of<ArmSums>): Of<ArmSums> {
	const users = Object.entries(a.users).map(([field, value]) => [field, value + b.users[field as keyof ArmSums["users"]]]);
	return {
		...a,
		users: Object.fromEntries(users) as ArmSums["users"],
		harmedFirst: a.harmedFirst + b.harmedFirst,
		means: sumOfMeans(a.means, b.means),
		totals: sumOfMeans(a.totals, b.totals),
		logs: sumOfMeans(a.logs, b.logs),
	};
}

const sumOfMeans = (a: MeanSums, b: MeanSums): MeanSums => ({
	users: a.users + b.users,
	sumOfMeans: a.sumOfMeans + b.sumOfMeans,
	sumOfSquaredMeans: a.sumOfSquaredMeans + b.sumOfSquaredMeans,
});
