import { OpenAPIHono } from "@hono/zod-openapi";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { REQUEST_BYTES_MAX } from "../../core/rollouts/writtenPlan";
import type { CheckDeps } from "../checks/finding";
import { log, nameOf } from "../log";
import type { MetricsSource } from "../metrics/source";
import type { Notifier } from "../notify/notifier";
import type { Publisher } from "../tick/publish";
import { accessOf, isAtLeast } from "./access";
import { audit } from "./audit";
import { callerOf, callerWithin } from "./auth";
import { checks } from "./checks";
import { comparisons } from "./compare";
import type { ApiEnv } from "./context";
import { environments } from "./environments";
import { explanations } from "./explain";
import { deadLetters } from "./deliveries";
import { deployment } from "./deployment";
import { deploymentFeatures } from "./deploymentFeatures";
import { deploymentRollback } from "./deploymentRollback";
import { flags } from "./flags";
import { gateway } from "./gateway";
import { health } from "./health";
import { keys } from "./keys";
import { metrics } from "./metrics";
import { protections } from "./protections";
import { environmentNamed } from "./reach";
import { type Refusal, Refused, problemOf, refuse } from "./refusals";
import { rolloutCommands } from "./rolloutCommands";
import { rolloutChecks } from "./rolloutChecks";
import { rollouts } from "./rollouts";
import { segments } from "./segments";
import { tokens } from "./tokens";
import { transfer } from "./transfer";
import { versions } from "./versions";
import { webhooks } from "./webhooks";

/** Of segments' keys, up to 100,000 in one piece, and of whole environments. */
const LARGE_BODY_BYTES_MAX = 8 * 1024 * 1024;
const LARGE_BODIES = /^\/api\/v1\/(?:import|segments\/[^/]+\/keys)$/;

/** Of the 500 ms that probes wait. */
const HEALTH_CALLER_MS = 200;

export interface Composition {
	readonly publisher: Publisher;
	readonly metrics: MetricsSource;
	readonly notifier: Notifier;
	readonly checks: CheckDeps;
	/** Whether routes may lead to http, any port and private addresses. */
	readonly privateOrigins: boolean;
	readonly adminToken: string | undefined;
	/** The clock that stamps events, for this request. */
	readonly now: number;
}

export function api(compose: (env: unknown, request: Request) => Composition): OpenAPIHono<ApiEnv> {
	const app = new OpenAPIHono<ApiEnv>();

	app.use(async (c, next) => {
		const { publisher, metrics: source, notifier, checks: checking, privateOrigins, adminToken: secret, now } = compose(c.env, c.req.raw);
		const given = c.req.header("x-correlation-id") ?? "";
		c.set("deps", publisher);
		c.set("metrics", source);
		c.set("notifier", notifier);
		c.set("checks", checking);
		c.set("privateOrigins", privateOrigins);
		c.set("now", now);
		c.set("hasAdminToken", Boolean(secret));
		c.set("correlationId", /^[\w.:/-]{1,100}$/.test(given) ? given : crypto.randomUUID());
		await next();
		c.header("x-correlation-id", c.get("correlationId"));
	});
	app.use("/api/*", async (c, next) => {
		const limitBytes = LARGE_BODIES.test(c.req.path) ? LARGE_BODY_BYTES_MAX : REQUEST_BYTES_MAX;
		return bodyLimit({ maxSize: limitBytes, onError: () => refuse({ kind: "too_large", limitBytes }) })(c, next);
	});
	app.use("/api/*", async (c, next) => {
		const { publisher, adminToken, now } = compose(c.env, c.req.raw);
		const authorization = c.req.header("authorization");
		const caller = await callerOf(publisher.db, authorization, adminToken, now);
		c.set("caller", caller ?? refuse({ kind: "unauthorized", why: whyNot(adminToken, authorization) }));
		c.set("actor", c.get("caller").name);
		const { role } = c.get("caller");
		const { role: takes } = accessOf(c.req.method, c.req.path);
		if (!isAtLeast(role, takes)) refuse({ kind: "forbidden", why: { role, takes, what: `${c.req.method} ${c.req.path}` } });
		await next();
	});

	// Scores and counts of alerts are no probe's business, and are told while the database is down.
	app.use("/health/metrics", async (c, next) => {
		const { publisher, adminToken } = compose(c.env, c.req.raw);
		const authorization = c.req.header("authorization");
		const caller = await callerWithin(HEALTH_CALLER_MS, publisher.db, authorization, adminToken).catch(() =>
			refuse({ kind: "unavailable", what: "the database, which knows whose token this is," }),
		);
		const { environment } = caller ?? refuse({ kind: "unauthorized", why: whyNot(adminToken, authorization) });
		if (environment !== null) refuse({ kind: "forbidden", why: { reach: environment, asked: null } });
		await next();
	});

	app.route("/api/v1/flags", flags);
	app.route("/api/v1/flags", versions);
	app.route("/api/v1", transfer);
	app.route("/api/v1/segments", segments);
	app.route("/api/v1", explanations);
	app.route("/api/v1/metrics", metrics);
	app.route("/api/v1/rollouts", rollouts);
	app.route("/api/v1/rollouts", rolloutCommands);
	app.route("/api/v1/rollouts", rolloutChecks);
	app.route("/api/v1/checks", checks);
	app.route("/api/v1/gateway/routes", gateway);
	app.route("/api/v1/gateway/protections", protections);
	app.route("/api/v1/compare", comparisons);
	app.route("/api/v1/environments", environments);
	app.route("/api/v1/deployment", deployment);
	app.route("/api/v1/deployment", deploymentFeatures);
	app.route("/api/v1/deployment", deploymentRollback);
	app.route("/api/v1/keys", keys);
	app.route("/api/v1", tokens);
	app.route("/api/v1/webhooks", webhooks);
	app.route("/api/v1/webhooks", deadLetters);
	app.route("/api/v1/audit", audit);
	app.route("/health", health);
	app.openAPIRegistry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
	app.doc31("/openapi.json", {
		openapi: "3.1.0",
		info: { title: "Tidegate control", version: "1", description: "Flags, rollouts under guard, SDK keys and their audit." },
		servers: [{ url: "/" }],
		security: [{ token: [] }],
	});

	app.notFound((c) => answer({ kind: "not_found", what: `${c.req.method} ${c.req.path}` }, c.get("correlationId")));
	app.onError((error, c) => {
		const correlationId = c.get("correlationId");
		if (error instanceof Refused) return answer(error.refusal, correlationId, environmentNamed(c));
		if (error instanceof HTTPException && error.status === 415) return answer({ kind: "wrong_media_type" }, correlationId);
		if (error instanceof HTTPException && error.status < 500) return answer({ kind: "malformed", detail: error.message }, correlationId);
		// zod and JSON walk a body by recursion.
		if (error instanceof RangeError && error.message.includes("call stack"))
			return answer({ kind: "malformed", detail: "the body is nested too deeply" }, correlationId);
		log("request_failed", { correlationId, path: c.req.path, error: nameOf(error) });
		return answer({ kind: "internal" }, correlationId);
	});
	return app;
}

function answer(refusal: Refusal, correlationId: string, environment?: string): Response {
	const problem = problemOf(refusal, environment);
	const headers = new Headers({ "content-type": "application/problem+json", "x-correlation-id": correlationId });
	if (problem.status === 401) headers.set("www-authenticate", "Bearer");
	return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

function whyNot(adminToken: string | undefined, authorization = ""): "no_token_set" | "sdk_key" | "invalid" | "none" {
	if (!adminToken) return "no_token_set";
	if (/^Bearer tg_/i.test(authorization)) return "sdk_key";
	return /^Bearer +\S/i.test(authorization) ? "invalid" : "none";
}
