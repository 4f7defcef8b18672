import * as z from "zod";
import { choice, takesShape, textsInList } from "./flags/fieldErrors";
import type { FieldError } from "./flags/model";
import { type Role, parseCriterion } from "./health/criteria";
import { type MetricDefinition, metricsBy } from "./metric";
import type { BreakerSettings } from "./rollouts/breaker";
import { aDuration, durationMs } from "./rollouts/duration";
import type { Plan } from "./rollouts/plan";

/** What an environment's rollouts have in common. */

const DAY_MS = 86_400_000;

const span = z
	.string(aDuration)
	.refine((text) => durationMs(text) !== undefined, aDuration)
	.refine((text) => {
		const ms = durationMs(text) ?? 1;
		return ms > 0 && ms <= DAY_MS;
	}, 'takes a duration up to a day: "90s", "30m" or "1h"');
const criteria = z.array(z.string().max(200), textsInList).max(20).default([]);

const breaker = {
	rollbacks: z.int().min(1).max(1_000).default(3).describe("so many automatic rollbacks"),
	within: span.default("1h").describe("within this time open the breaker: nothing starts or advances by itself"),
	open: span.default("30m").describe("for so long; then one rollout at a time does"),
	reset: span.default("1h").describe("until so long nothing was rolled back"),
};
const defaults = {
	guards: criteria,
	red_flags: criteria,
	min_users: z.int().min(1).max(1_000_000).optional(),
	on_control_loss: z.enum(["hold", "retreat"], choice("hold or retreat")).optional(),
};
const automation = z
	.enum(["act", "advise"], choice("act or advise"))
	.default("act")
	.describe("advise: the engine changes no rollout by itself, and tells what it would do");

export const environmentSettings = z.strictObject({
	automation,
	breaker: z.strictObject(breaker, takesShape("an object: {open: 30m}")).prefault({}),
	defaults: z.strictObject(defaults, takesShape("an object: {min_users: 100}")).prefault({}).describe("for plans that do not name them"),
});

/** As stored: what this version does not know is dropped, so that settings outlive a deployment and its return. */
export const storedSettings = z.object({
	automation,
	breaker: z.object(breaker).prefault({}),
	defaults: z.object(defaults).prefault({}),
});

export type EnvironmentSettings = z.infer<typeof storedSettings>;

export const DEFAULT_SETTINGS: EnvironmentSettings = storedSettings.parse({});

export function breakerSettingsOf({ breaker: { rollbacks, within, open, reset } }: EnvironmentSettings): BreakerSettings {
	const ms = (text: string): number => durationMs(text) ?? 0;
	return { rollbacks, withinMs: ms(within), openMs: ms(open), resetMs: ms(reset) };
}

/** Whether the criteria that every plan may get can be read. `own`: the environment's own metrics. */
export function checkSettings({ defaults: of }: EnvironmentSettings, own: readonly MetricDefinition[]): readonly FieldError[] {
	const metrics = metricsBy(own);
	const check = (texts: readonly string[], role: Role, field: string): FieldError[] =>
		texts.flatMap((text, i) => {
			const read = parseCriterion(text, role, metrics);
			if (read.ok) return [];
			return { pointer: `/defaults/${field}/${i}`, message: `${read.error.message} (at character ${read.error.position + 1})` };
		});
	return [...check(of.guards, "guard", "guards"), ...check(of.red_flags, "red flag", "red_flags")];
}

/** The plan with what its environment sets where the plan itself says nothing. `written`: the fields that its author named. */
export function withDefaults<P extends Pick<Plan, keyof EnvironmentSettings["defaults"]>>(
	plan: P,
	written: readonly string[],
	{ guards, red_flags, min_users = plan.min_users, on_control_loss = plan.on_control_loss }: EnvironmentSettings["defaults"],
): P {
	// A plan may have guards that its author did not write, those of its preset: neither takes the place of the other.
	const both = [...guards, ...plan.guards.filter((each) => typeof each !== "string" || !guards.includes(each))];
	const filled = { guards: both, red_flags, min_users, on_control_loss };
	return { ...plan, ...Object.fromEntries(Object.entries(filled).filter(([field]) => !written.includes(field))) };
}
