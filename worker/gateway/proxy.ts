import { comparable } from "../../core/gateway/path";
import { choose } from "../../core/gateway/routes";
import { liveness } from "../health";
import { problem } from "../problem";
import type { Edge } from "../router";
import { serving } from "../snapshots";
import { assign, isolated } from "./assign";
import { forward } from "./forward";
import { outgoing } from "./headers";
import { hostOf } from "./hosts";
import { ANY_VARIANT, previewOf } from "./preview";
import { inForce, isIsolated, isLockedOut, isShed } from "./protect";
import { tooLarge } from "./upload";
import { type Visitor, visitorOf } from "./visitor";

const OWN = "/.tidegate/";
const AGAIN = { "Retry-After": "1" };
/** Long enough that those who were sent away are not all back at once. */
const SHED = { "Retry-After": "5" };
/** Who asks does not matter where nothing is decided by it. */
const NOBODY: Visitor = { context: {}, cookie: undefined };
/** They speak to proxies, and no origin is to hear of them. */
const REFUSED = ["CONNECT", "TRACE", "TRACK"];

/** Proxies a request to a host that has routes: whole, but for what is below /.tidegate/. The isolate's head is known to be new enough. */
export async function proxy(request: Request, href: string, environment: string, edge: Edge): Promise<Response> {
	const { gateway, sources, isolate } = edge;
	const url = new URL(href);
	const host = hostOf(url);
	const path = comparable(url.pathname);
	if (path.startsWith(OWN)) return path === `${OWN}health` ? liveness() : nothing();
	const open = await serving(isolate, sources, environment);
	if (!open) return problem(503, "No routes could be loaded yet: try again.", AGAIN);
	const { snapshot } = open;
	const routes = snapshot.gateway();
	const choice = REFUSED.includes(request.method)
		? ({ kind: "no_method", allowed: ["GET", "HEAD"] } as const)
		: choose(routes, host, path, request.method);
	if (choice.kind === "no_route") return nothing();
	if (choice.kind === "no_method") {
		const allow = choice.allowed.join(", ");
		return problem(405, `The methods here are ${allow}.`, { Allow: allow });
	}

	const { route } = choice;
	const nowMs = sources.now();
	const protections = inForce(routes.protections, host, nowMs);
	if (protections.length > 0 && isShed(protections, route, path, gateway.draw()))
		return problem(503, "Too many requests: try again.", SHED);
	const { headers, said } = outgoing(request, url, host);
	if (said.bytes > route.headerBytesMax) return problem(431, `The header is larger than ${route.headerBytesMax} bytes.`);
	if (said.bodyBytes > route.bodyBytesMax) return tooLarge(route.bodyBytesMax);
	const isAsked = route.flag !== undefined || route.forward.length > 0 || protections.length > 0;
	const { context, cookie } = isAsked ? visitorOf(request, url, path, route) : NOBODY;
	if (isLockedOut(protections, snapshot, context)) return problem(403, "This is closed for now.");

	const preview = said.hasPreview ? await previewOf(request, host, gateway.previewKey, nowMs) : undefined;
	const overlay = isIsolated(protections, snapshot, context) ? isolated(route, snapshot, open.overlay) : open.overlay;
	const asked = { route, snapshot, overlay, context, forced: preview === ANY_VARIANT ? undefined : preview };
	const assigned = assign(asked);
	if (!assigned) return problem(502, "Nobody knows where this goes: try again.", AGAIN);
	return forward({ request, url, headers, said, environment, asked, assigned, isPreviewed: preview !== undefined, cookie, edge });
}

const nothing = (): Response => problem(404, "There is nothing at this path.");
