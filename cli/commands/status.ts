import { type Breaker, type Summary, type SystemStatus, healthChecks, known, listed, systemStatus } from "../answers";
import type { Command } from "../command";
import type { z } from "zod";
import { ACTIVE } from "../../core/rollouts/state";
import { type Paint, age, colourOf, pairs, percent, scored, statusText as rolloutStatus, table } from "../output";

type Checks = z.infer<typeof healthChecks>["rolloutChecks"];

export const status: Command = {
	name: "status",
	takes: "",
	about: "An environment at a glance: tick, live rollouts with phase, percent and level, alerts, pending publications",
	options: ["environment"],
	examples: ["tidegate status", "tidegate status --environment staging --json"],
	async run({ control: open, environment, paint, world }) {
		const control = open();
		const [system, checks, { rollouts }] = await Promise.all([
			control.get("/deployment/system-status", systemStatus, { environment }),
			control.get("/deployment/health-checks", healthChecks, { environment, limit: 1_000 }),
			control.get("/rollouts", listed, { environment, status: ACTIVE.join(","), limit: 1_000 }),
		]);
		const found = checks.rolloutChecks;
		return {
			json: {
				environment,
				system,
				rollouts: rollouts.map((each) => ({ ...each, health: found.find(({ rollout }) => rollout === each.id) ?? null })),
			},
			text: statusText(environment, system, rollouts, found, world.now(), paint),
		};
	},
};

function statusText(
	environment: string,
	system: SystemStatus,
	rollouts: readonly Summary[],
	checks: Checks,
	now: number,
	paint: Paint,
): string {
	return [
		overview(environment, system, now, paint),
		rollouts.length > 0 ? liveTable(rollouts, checks, paint) : "no rollout is live",
		...damagedIn(system, paint),
		alertsIn(system, now, paint),
	].join("\n\n");
}

const NOT_KNOWN = "not known now";

function overview(environment: string, { tick, publications, environments, breaker }: SystemStatus, now: number, paint: Paint): string {
	const check = known(environments)?.find((each) => each.environment === environment)?.check;
	const pending = known(publications)?.pending;
	const found = known(breaker);
	return pairs(
		[
			[
				"environment",
				`${environment}: ${check ? `${paint(colourOf(check.level), check.level)}${scored(check)}` : "no tick has looked yet"}`,
			],
			["last tick", tickText(known(tick), paint)],
			["breaker", found === undefined ? NOT_KNOWN : breakerText(found, now, paint)],
			["to publish", pending === undefined ? NOT_KNOWN : pending.length > 0 ? paint("yellow", pending.join(", ")) : "nothing"],
		],
		paint,
	);
}

export function breakerText({ state, untilMs }: Pick<Breaker, "state" | "untilMs">, now: number, paint: Paint): string {
	if (state === "closed") return state;
	const left = untilMs === null ? "" : ` for ${age(untilMs - now)}`;
	const said =
		state === "open"
			? `open${left}: after too many automatic rollbacks nothing advances by itself`
			: `half open${left}: only the rollout with the smallest percent advances by itself`;
	return paint("yellow", said);
}

function tickText(tick: { lastTickAgeMs: number | null; guarded: boolean } | undefined, paint: Paint): string {
	if (tick === undefined) return NOT_KNOWN;
	if (tick.lastTickAgeMs === null) return paint("yellow", "none yet");
	const said = `${age(tick.lastTickAgeMs)} ago`;
	return tick.guarded ? said : paint("red", `${said}: nobody guards the rollouts`);
}

/** What is served to nobody yet no tick judges. */
const WAITING: Readonly<Record<string, string>> = {
	scheduled: "its time has not come: tidegate rollout show says when it does",
	validating: "waits for checks or approvals: tidegate rollout show says for which",
};

function liveTable(rollouts: readonly Summary[], checks: Checks, paint: Paint): string {
	const rows = rollouts.map((each) => {
		const check = checks.find(({ rollout }) => rollout === each.id);
		const level = check?.level ?? "unknown";
		return [
			each.id,
			rolloutStatus(each.status, paint),
			each.phase ?? "",
			percent(each.percent),
			paint(colourOf(level), level),
			level === "unknown" ? "–" : String(check?.score ?? "–"),
			check ? `${check.decision.replaceAll("_", " ")}: ${check.message}` : (WAITING[each.status] ?? "no tick has looked yet"),
		];
	});
	return table(["ROLLOUT", "STATUS", "PHASE", "PERCENT", "LEVEL", "SCORE", "LAST DECISION"], rows, paint);
}

function damagedIn({ rollouts }: SystemStatus, paint: Paint): string[] {
	const damaged = known(rollouts)?.damaged ?? [];
	return damaged.length > 0 ? [paint("red", `cannot be read: ${damaged.join(", ")}. Roll them back: tidegate rollout rollback <id>`)] : [];
}

function alertsIn({ alerts }: SystemStatus, now: number, paint: Paint): string {
	const told = known(alerts);
	if (told === undefined) return `alerts: ${NOT_KNOWN}`;
	if (told.length === 0) return "no alerts in the last hour";
	const rows = told.map((each) => [
		`${age(now - each.atMs)} ago`,
		each.severity === "page" ? paint("red", each.severity) : paint("yellow", each.severity),
		each.rollout,
		each.active ? "holds" : "over",
		each.message.startsWith(each.kind) ? each.message : `${each.kind}: ${each.message}`,
	]);
	return table(["ALERT", "SEVERITY", "ROLLOUT", "STATE", "WHAT"], rows, paint);
}
