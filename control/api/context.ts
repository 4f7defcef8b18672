import { OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import type { Context, Handler } from "hono";
import { fieldErrors } from "../../core/flags/fieldErrors";
import type { FieldError } from "../../core/flags/model";
import type { Act } from "../store/audit";
import type { Caller } from "../store/tokens";
import type { CheckDeps } from "../checks/finding";
import type { MetricsSource } from "../metrics/source";
import type { Notifier } from "../notify/notifier";
import type { Publisher } from "../tick/publish";
import { publish } from "../tick/publish";
import { log, nameOf } from "../log";
import { keepWithin } from "./reach";
import { refuse } from "./refusals";

/** What handlers get: the parts of the composition root, the caller, and the clock that stamps events. */
export interface Variables {
	readonly deps: Publisher;
	readonly metrics: MetricsSource;
	readonly notifier: Notifier;
	readonly caller: Caller;
	readonly checks: CheckDeps;
	readonly privateOrigins: boolean;
	readonly actor: string;
	readonly correlationId: string;
	readonly now: number;
	readonly hasAdminToken: boolean;
}
export interface ApiEnv {
	Variables: Variables;
}

/**
 * A sub-app of one resource: what does not fit its schema is refused with the fields' pointers, and then what is out of the
 * caller's reach.
 */
export function resource(): OpenAPIHono<ApiEnv> {
	const app = new OpenAPIHono<ApiEnv>({
		defaultHook: (result) => {
			if (result.success) return;
			// The types leave out that what was parsed comes along.
			const errors = fieldErrors(result.error.issues, (result as { readonly data?: unknown }).data);
			refuse({ kind: "invalid", errors: result.target === "query" ? errors.map(ofParameter) : errors });
		},
	});
	const { openapi } = app;
	const kept = (route: RouteConfig, handler: Handler<ApiEnv>) =>
		openapi(
			{ ...route, responses: { ...route.responses, ...refusals(403) } },
			// Behind the validation: what was looked at is what the handler reads.
			async (c, next) => {
				await keepWithin(c);
				return handler(c, next) as never;
			},
		);
	app.openapi = kept as typeof openapi;
	return app;
}

/** A parameter of the query is no field of the body: "?environment=" in place of "/environment". */
const ofParameter = ({ pointer, message }: FieldError): FieldError => ({ pointer: `?${pointer.split("/")[1] ?? ""}=`, message });

export function actOf(c: Context<ApiEnv>, reason = ""): Act {
	return { actor: c.get("actor"), reason, correlationId: c.get("correlationId"), atMs: c.get("now") };
}

/** Behind the answer: what was committed is safe, and the tick publishes whatever this cannot. */
export function publishBehind(c: Context<ApiEnv>): void {
	c.executionCtx.waitUntil(
		publish(c.get("deps")).catch((error: unknown) =>
			log("publish_failed", { correlationId: c.get("correlationId"), error: nameOf(error) }),
		),
	);
}

const problem = z.object({
	type: z.string(),
	title: z.string(),
	status: z.number(),
	detail: z.string(),
	errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
});

/** The documented refusals of a route. */
export function refusals<S extends number>(...statuses: readonly S[]) {
	const content = { "application/problem+json": { schema: problem } };
	return Object.fromEntries(statuses.map((status) => [status, { description: "problem (RFC 9457)", content }])) as Record<
		S,
		{ description: string; content: typeof content }
	>;
}

/** Content of a route's body or answer. */
export const json = <S extends z.ZodType>(schema: S) => ({ content: { "application/json": { schema } } });
export const body = <S extends z.ZodType>(schema: S, examples?: Readonly<Record<string, Example>>) => ({
	body: { content: { "application/json": { schema, ...(examples ? { examples } : {}) } }, required: true as const },
});
interface Example {
	readonly summary: string;
	readonly value: unknown;
}

/** Why somebody does it; kept in the audit. */
export const reason = z.string().max(1_000).default("").describe("kept in the audit");
