import { type Judged, type Verdict, WARNING_USERS_MIN } from "./verdict";

export type Level = "excellent" | "good" | "warning" | "critical" | "failure" | "unknown";

/** From the worst to the best; what is unknown is worse than what is good. */
export const LEVELS: readonly Level[] = ["failure", "critical", "warning", "unknown", "good", "excellent"];

/** From this mean E on, harm is suspected: nothing advances. */
export const SUSPICION = 5;

export function levelOf(found: {
	readonly harm: { readonly e: number; readonly proven: boolean; readonly tripled: boolean };
	readonly verdicts: readonly Verdict[];
	readonly candidateUsers: number;
	readonly limits: readonly Judged[];
}): Level {
	const { harm, verdicts } = found;
	if (harm.tripled || verdicts.some((each) => each.role === "red_flag" && each.status === "breached")) return "failure";
	if (harm.proven || verdicts.some((each) => each.status === "breached")) return "critical";
	const isBeyond = found.candidateUsers >= WARNING_USERS_MIN && verdicts.some((each) => each.status === "beyond");
	if (isBeyond || harm.e >= SUSPICION) return "warning";
	const counted = verdicts.filter(isCounted);
	if (counted.length === 0 || counted.some((each) => each.status !== "met")) return "unknown";
	const limits = found.limits.filter((each) => verdictOf(each, verdicts)?.status !== "not_reported");
	const isHalf = limits.length > 0 && limits.every((each) => (headroomOf(each, verdicts) ?? 0) > 0.5);
	return isHalf ? "excellent" : "good";
}

/** What is not applicable, and what is not reported though nobody must report it, stands in nobody's way. */
function isCounted({ role, status }: Verdict): boolean {
	return status !== "not_applicable" && status !== "not_reported" && !(role === "red_flag" && status === "no_data");
}

const verdictOf = ({ limit }: Judged, verdicts: readonly Verdict[]): Verdict | undefined =>
	verdicts.find((each) => each.criterion === limit.text);

/** How far below its limit a value is, as a fraction of the limit. A limit from below (satisfaction > 8) has none: it is met or not. */
function headroomOf(judged: Judged, verdicts: readonly Verdict[]): number | undefined {
	const found = verdictOf(judged, verdicts);
	if (!found || found.value === null) return undefined;
	const { bad, limit } = judged.limit;
	if (bad === "below") return found.status === "met" ? 1 : 0;
	return limit <= 0 ? undefined : 1 - found.value / limit;
}

/** The scores that a level spans. */
const BANDS: Readonly<Record<Exclude<Level, "unknown">, readonly [number, number]>> = {
	excellent: [90, 100],
	good: [70, 89],
	warning: [40, 69],
	critical: [10, 39],
	failure: [0, 9],
};

/** 0 to 100, in the level's band by the headroom that its limits leave on average; null where the level is unknown. */
export function scoreOfLevel(level: Level, limits: readonly Judged[], verdicts: readonly Verdict[]): number | null {
	if (level === "unknown") return null;
	const [low, high] = BANDS[level];
	const headrooms = limits.flatMap((each) => headroomOf(each, verdicts) ?? []);
	const mean = headrooms.length === 0 ? 0.5 : headrooms.reduce((sum, each) => sum + Math.min(1, Math.max(0, each)), 0) / headrooms.length;
	return Math.round(low + (high - low) * mean);
}

/** The worst of several. */
export function worstOf(levels: readonly Level[]): Level {
	return LEVELS.find((level) => levels.includes(level)) ?? "unknown";
}
