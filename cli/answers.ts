import * as z from "zod";
import { storedSettings } from "../core/environmentSettings";

/** What the CLI reads of control's answers. The rest is passed on by --json as it came, so nothing here is strict. */

const summary = z.looseObject({
	id: z.string(),
	environment: z.string(),
	name: z.string(),
	attempt: z.number(),
	flags: z.array(z.string()),
	status: z.string(),
	phase: z.string().nullable(),
	percent: z.number(),
	holdback: z.number(),
	revision: z.number(),
	createdAtMs: z.number(),
	startedAtMs: z.number().nullable(),
});
export type Summary = z.infer<typeof summary>;

export const listed = z.looseObject({ rollouts: z.array(summary), damaged: z.array(z.string()) });

const verdict = z.looseObject({ role: z.string(), criterion: z.string(), status: z.string(), message: z.string() });

const health = z.looseObject({
	atMs: z.number(),
	decision: z.string(),
	reason: z.string(),
	message: z.string(),
	level: z.string(),
	score: z.number().nullable(),
	percent: z.number(),
	judgement: z
		.looseObject({
			verdicts: z.array(verdict).optional(),
			unattributed: z.object({ events: z.number(), of: z.number() }).optional(),
		})
		.nullish(),
});

/** Only what the timeline shows; a rollout that is damaged has neither plan nor state. */
const phase = z.looseObject({
	name: z.string().optional(),
	percent: z.number(),
	hold: z.string(),
	audience: z.string().optional(),
	flags: z.array(z.string()).optional(),
	approval: z.union([z.string(), z.looseObject({ approvers: z.number() })]).optional(),
	not_before: z.union([z.string(), z.looseObject({ day: z.number() })]).optional(),
	shadow: z.boolean().optional(),
});
export type Phase = z.infer<typeof phase>;
const plan = z.looseObject({ strategy: z.string().optional(), candidate: z.string().optional(), phases: z.array(phase) });
const state = z.looseObject({
	phase: z.number().optional(),
	sinceMs: z.number().optional(),
	/** When it ended. */
	atMs: z.number().optional(),
	by: z.string().optional(),
	reason: z.string().optional(),
	/** On the way back: the percents that follow. */
	stages: z.array(z.number()).optional(),
	dropped: z.array(z.string()).optional(),
	extendedMs: z.number().optional(),
	manual: z.boolean().optional(),
	watch: z.looseObject({ heldMs: z.number(), tickedAtMs: z.number(), alerting: z.array(z.string()).optional() }).optional(),
});

const next = z.looseObject({
	kind: z.string(),
	phase: z.string().nullable(),
	percent: z.number(),
	audience: z.string().nullable(),
	flags: z.array(z.string()),
	holdLeftMs: z.number(),
	notBeforeMs: z.number().nullable(),
	approvals: z.looseObject({ needed: z.number(), given: z.array(z.string()), author: z.string() }),
	checks: z.array(z.string()),
	waitsFor: z.array(z.string()),
});
export type Next = z.infer<typeof next>;

export const detail = z.looseObject({
	...summary.shape,
	plan: plan.nullable(),
	state: state.nullable(),
	next: next.nullish(),
	health: health.nullable(),
});
export type Detail = z.infer<typeof detail>;

const event = z.looseObject({
	revision: z.number(),
	atMs: z.number(),
	kind: z.string(),
	reason: z.string(),
	message: z.string(),
	actor: z.string(),
});
export type Event = z.infer<typeof event>;
export const events = z.object({ events: z.array(event) });

export const flag = z.looseObject({
	key: z.string(),
	type: z.string(),
	enabled: z.boolean(),
	offVariant: z.string(),
	variants: z.record(z.string(), z.unknown()),
	fallthrough: z.union([z.string(), z.array(z.object({ variant: z.string(), weight: z.number() }))]),
	version: z.number(),
	updatedAtMs: z.number(),
});
export type Flag = z.infer<typeof flag>;
export const flags = z.looseObject({ flags: z.array(flag), damaged: z.array(z.string()) });

const check = z.looseObject({
	atMs: z.number(),
	level: z.string(),
	score: z.number().nullable(),
	breakerUntilMs: z.number().nullable().optional(),
});

export const healthChecks = z.looseObject({
	rolloutChecks: z.array(
		z.looseObject({
			rollout: z.string(),
			atMs: z.number(),
			level: z.string(),
			score: z.number().nullable(),
			decision: z.string(),
			reason: z.string(),
			message: z.string(),
		}),
	),
});

export const breaker = z.looseObject({
	state: z.string(),
	untilMs: z.number().nullable(),
	settings: storedSettings.shape.breaker,
	resetAtMs: z.number().nullable(),
});
export type Breaker = z.infer<typeof breaker>;

const settingsShape = { ...storedSettings.shape, version: z.number(), damaged: z.boolean() };
export const settings = z.looseObject(settingsShape);
export type Settings = z.infer<typeof settings>;

export const environments = z.looseObject({
	environments: z.array(
		z.looseObject({ environment: z.string(), version: z.number(), pending: z.boolean(), breaker, settings: z.looseObject(settingsShape) }),
	),
});

const unavailable = z.object({ unavailable: z.string() });
const part = <S extends z.ZodType>(schema: S) => z.union([schema, unavailable]);

export const systemStatus = z.looseObject({
	tick: part(z.looseObject({ lastTickAgeMs: z.number().nullable(), guarded: z.boolean() })),
	publications: part(z.looseObject({ pending: z.array(z.string()) })),
	environments: part(z.array(z.looseObject({ environment: z.string(), check: check.nullable() }))),
	rollouts: part(
		z.looseObject({
			running: z.number(),
			awaitingApproval: z.number().optional(),
			paused: z.number(),
			rollingBack: z.number().optional(),
			damaged: z.array(z.string()),
		}),
	),
	breaker: part(breaker),
	/** Told since there is one; null: nothing is overridden by hand. */
	breakGlass: part(
		z.looseObject({ kill: z.array(z.string()), baseline: z.array(z.string()), isUsable: z.boolean() }).nullable(),
	).optional(),
	alerts: part(
		z.array(
			z.looseObject({
				atMs: z.number(),
				severity: z.string(),
				rollout: z.string(),
				kind: z.string(),
				message: z.string(),
				active: z.boolean(),
			}),
		),
	),
});
export type SystemStatus = z.infer<typeof systemStatus>;

/** A part of the status that is known; undefined where it was not read in time. */
export function known<T>(given: T): Exclude<T, { unavailable: string }> | undefined {
	const isUnknown = typeof given === "object" && given !== null && "unavailable" in given;
	return isUnknown ? undefined : (given as Exclude<T, { unavailable: string }>);
}

const items = {
	created: z.array(z.string()),
	changed: z.array(
		z.looseObject({ key: z.string(), diff: z.array(z.looseObject({ path: z.string(), before: z.unknown(), after: z.unknown() })) }),
	),
	unchanged: z.array(z.string()),
};
const routesReport = z.looseObject({ ...items, skipped: z.array(z.string()) });
/** Of routes only where control knows them. */
export const report = z.looseObject({
	...items,
	segments: z.looseObject(items),
	routes: routesReport.default({ created: [], changed: [], unchanged: [], skipped: [] }),
	applied: z.boolean(),
});
export type Report = z.infer<typeof report>;

export const explanation = z.looseObject({
	snapshot: z.number(),
	steps: z.array(z.string()),
	resolution: z.looseObject({ errorCode: z.string().optional() }),
});

export const exported = z.looseObject({ flags: z.array(z.unknown()), damaged: z.array(z.string()).optional() });

export const metrics = z.looseObject({ metrics: z.array(z.looseObject({ key: z.string(), standard: z.boolean() })) });

export const caller = z.looseObject({
	name: z.string(),
	role: z.enum(["viewer", "operator", "admin"]),
	environment: z.string().nullable(),
});
const apiToken = z.looseObject({ ...caller.shape, createdAtMs: z.number(), revokedAtMs: z.number().nullable() });
export type Token = z.infer<typeof apiToken>;
export const tokens = z.looseObject({ tokens: z.array(apiToken) });
export const withToken = z.looseObject({ ...apiToken.shape, token: z.string() });
const checkResult = z.looseObject({ name: z.string(), status: z.string(), critical: z.boolean(), message: z.string() });
export const checkSummary = z.looseObject({
	failed: z.array(z.string()),
	pending: z.array(z.string()),
	can_deploy: z.boolean(),
	execution_time_ms: z.number(),
	checks: z.array(checkResult),
});
export type CheckSummary = z.infer<typeof checkSummary>;

export const checkReport = z.looseObject({ name: z.string(), status: z.string() });
export const takenBack = z.looseObject({
	rolledBack: z.array(z.string()),
	killed: z.array(z.string()),
	notInRollout: z.array(z.string()),
	unknown: z.array(z.string()),
});
export type TakenBack = z.infer<typeof takenBack>;

export const deploymentStatus = z.looseObject({
	rollouts: z.array(z.looseObject({ rollout: z.string(), flags: z.array(z.string()).optional() })),
	damaged: z.array(z.string()),
});

export const edgesStatus = z.looseObject({
	edges: z.looseObject({
		isolates: z.number(),
		colos: z.number(),
		behind: z.number(),
		headRevision: z.number(),
		oldestRevision: z.number().nullable(),
	}),
});
export type EdgesStatus = z.infer<typeof edgesStatus>["edges"];

const durations = z.looseObject({
	count: z.number(),
	p50Ms: z.number().nullable(),
	p95Ms: z.number().nullable(),
	maxMs: z.number().nullable(),
});
export const rollbackStatistics = z.looseObject({
	days: z.number(),
	count: z.number(),
	automatic: z.number(),
	manual: z.number(),
	byTrigger: z.record(z.string(), z.number()),
	timeToDetect: durations,
	timeToSafe: durations,
	ended: z.number(),
	verified: z.number(),
});
export const rollbackHistory = z.looseObject({
	rollbacks: z.array(
		z.looseObject({
			rollout: z.string(),
			strategy: z.string(),
			trigger: z.string(),
			actor: z.string(),
			recordedAtMs: z.number(),
			edgeSafeAtMs: z.number().nullable(),
			verifiedAtMs: z.number().nullable(),
			failure: z.string().nullable(),
			isFollowed: z.boolean(),
			steps: z.array(z.looseObject({ status: z.string() })),
		}),
	),
});

const origin = z.union([z.string(), z.object({ service: z.string() })]);
export const route = z.looseObject({
	key: z.string(),
	host: z.string(),
	path: z.string(),
	methods: z.array(z.string()).optional(),
	origin: origin.optional(),
	flag: z.string().optional(),
	shadow: z
		.looseObject({
			variant: z.string(),
			sample: z.number(),
			compare: z.looseObject({ ignore: z.array(z.string()).optional(), tolerance: z.record(z.string(), z.number()).optional() }).optional(),
		})
		.optional(),
	version: z.number(),
	warnings: z.array(z.string()),
});
export type Route = z.infer<typeof route>;
export const routes = z.looseObject({ routes: z.array(route), damaged: z.array(z.string()) });

export const protection = z.looseObject({
	key: z.string(),
	kind: z.string(),
	host: z.string().optional(),
	share: z.number().optional(),
	upTo: z.number().optional(),
	segments: z.array(z.string()).optional(),
	untilMs: z.number(),
});
export type Protection = z.infer<typeof protection>;
export const protections = z.looseObject({ protections: z.array(protection), damaged: z.array(z.string()) });

export const compareReport = z.looseObject({
	phase: z.string().nullable(),
	date: z.string(),
	total_queries: z.number(),
	discrepancies: z.number(),
	errors: z.number(),
	status: z.string(),
	samples: z.array(z.object({ input: z.string(), legacy_result: z.string(), new_result: z.string(), match: z.boolean() })),
});
export type CompareReport = z.infer<typeof compareReport>;
