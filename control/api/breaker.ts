import * as z from "zod";
import { storedSettings } from "../../core/environmentSettings";
import type { BreakerState } from "../../core/rollouts/breaker";
import type { StoredSettings } from "../store/settings";

/** How an environment's breaker is told. */
export const breaker = z
	.object({
		state: z.enum(["closed", "open", "half_open"]),
		untilMs: z.int().nullable().describe("until when it is open or half open, should nothing more be rolled back"),
		settings: storedSettings.shape.breaker,
		resetAtMs: z.int().nullable().describe("rollbacks up to then do not count: a person has reset it"),
	})
	.describe("open: too many automatic rollbacks, so nothing starts or advances by itself; half_open: one rollout at a time does");

export function breakerAnswer(state: BreakerState, { settings, breakerResetAtMs }: StoredSettings): z.infer<typeof breaker> {
	return {
		state: state.kind,
		untilMs: state.kind === "closed" ? null : state.untilMs,
		settings: settings.breaker,
		resetAtMs: breakerResetAtMs === 0 ? null : breakerResetAtMs,
	};
}
