import type { z } from "zod";
import { rollbackHistory, rollbackStatistics } from "../answers";
import type { Command } from "../command";
import { countOf, daysOf } from "../options";
import { type Paint, age, instant, pairs, table } from "../output";

type Statistics = z.infer<typeof rollbackStatistics>;
type History = z.infer<typeof rollbackHistory>["rollbacks"];

export const rollbacks: Command = {
	name: "rollbacks",
	takes: "",
	about: "How an environment's rollbacks went: why, how long until found and until safe, and what followed them",
	options: ["environment", "days", "limit"],
	examples: ["tidegate rollbacks", "tidegate rollbacks --days 90 --json | jq .statistics.timeToSafe"],
	async run({ options, environment, control: open, paint, world }) {
		const control = open();
		const [statistics, { rollbacks: history }] = await Promise.all([
			control.get("/deployment/rollback/statistics", rollbackStatistics, { environment, days: daysOf(options, 30, 365) }),
			control.get("/deployment/rollback/history", rollbackHistory, { environment, limit: countOf(options, 20, 500) }),
		]);
		const text =
			history.length === 0
				? `there was no rollback in ${environment}`
				: [statisticsText(statistics, paint), historyText(history, world.now(), paint)].join("\n\n");
		return { json: { environment, statistics, history }, text };
	},
};

function statisticsText(
	{ days, count, automatic, manual, byTrigger, timeToDetect, timeToSafe, ended, verified }: Statistics,
	paint: Paint,
) {
	const triggers = Object.entries(byTrigger).map(([trigger, times]) => `${trigger} ${times}`);
	return pairs(
		[
			["last days", `${days}: ${count} ${count === 1 ? "rollback" : "rollbacks"}, ${automatic} automatic, ${manual} by hand`],
			["why", triggers.join(", ") || "–"],
			["until found", durationsText(timeToDetect)],
			["until safe", durationsText(timeToSafe)],
			["verified", ended === 0 ? "–" : `${verified} of ${ended}`],
		],
		paint,
	);
}

const durationsText = ({ count, p50Ms, p95Ms, maxMs }: Statistics["timeToSafe"]): string =>
	count === 0 || p50Ms === null || p95Ms === null || maxMs === null
		? "–"
		: `${age(p50Ms)} in the median, p95 ${age(p95Ms)}, at most ${age(maxMs)}`;

function historyText(history: History, now: number, paint: Paint): string {
	const rows = history.map((each) => [
		instant(each.recordedAtMs),
		each.rollout,
		each.strategy,
		each.trigger,
		each.actor,
		each.edgeSafeAtMs === null ? "–" : age(each.edgeSafeAtMs - each.recordedAtMs),
		outcomeOf(each, now, paint),
	]);
	return table(["WHEN", "ROLLOUT", "STRATEGY", "WHY", "WHO", "SAFE AFTER", "THEN"], rows, paint);
}

function outcomeOf({ verifiedAtMs, failure, isFollowed, recordedAtMs, steps }: History[number], now: number, paint: Paint): string {
	if (verifiedAtMs !== null) return paint("green", "verified");
	if (failure !== null) return paint("red", failure);
	const done = steps.filter(({ status }) => status === "done").length;
	return isFollowed ? `followed for ${age(now - recordedAtMs)}${done > 0 ? `, steps done: ${done}` : ""}` : "–";
}
