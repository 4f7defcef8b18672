import { type Level, worstOf } from "./level";

/** What one tick finds of a whole environment. */
export interface EnvironmentFinding {
	readonly level: Level;
	/** The lowest of its rollouts', 100 with none live; null: none is known. */
	readonly score: number | null;
	/** Live rollouts by level. */
	readonly levels: Readonly<Partial<Record<Level, number>>>;
	/** Those at the environment's level, unless it is well. */
	readonly worst: readonly string[];
	/** Until when advances are stopped; null: they are not. */
	readonly breakerUntilMs: number | null;
}

/** An environment is as well as the worst of its live rollouts; one without any is well. */
export function findingOf(
	rollouts: readonly { readonly id: string; readonly level: Level; readonly score: number | null }[],
	breakerUntilMs: number | null,
): EnvironmentFinding {
	const found = rollouts.length === 0 ? "good" : worstOf(rollouts.map((each) => each.level));
	const level = breakerUntilMs !== null && (found === "good" || found === "excellent") ? "warning" : found;
	const levels: Partial<Record<Level, number>> = {};
	for (const each of rollouts) levels[each.level] = (levels[each.level] ?? 0) + 1;
	const scores = rollouts.flatMap(({ score }) => score ?? []);
	const isWell = level === "good" || level === "excellent";
	return {
		level,
		score: rollouts.length === 0 ? 100 : scores.length === 0 ? null : Math.min(...scores),
		levels,
		worst: isWell
			? []
			: rollouts
					.filter((each) => each.level === level)
					.map(({ id }) => id)
					.slice(0, 20),
		breakerUntilMs,
	};
}
