import { pointerTo } from "../flags/fieldErrors";
import type { FieldError } from "../flags/model";
import type { Protection, Route } from "./model";

/** What the schema of a route's fields cannot say. Pure: what the environment has is given. */

/** Flag → its variants. */
export type FlagsKnown = ReadonlyMap<string, readonly string[]>;

/** Bindings of the edge that are Tidegate's own: no origin answers there. */
const OWN_BINDINGS = ["HEAD", "TELEMETRY", "COMPARISONS", "SNAPSHOTS", "OUTCOMES"];

/** `refusal`: why no request may go to a URL; undefined, it may. */
export function checkRoute(route: Route, flags: FlagsKnown, refusal: (url: string) => string | undefined): FieldError[] {
	const { origin, flag, origins, shadow, forward } = route;
	const errors: FieldError[] = [];
	if (origin !== undefined && (flag !== undefined || origins !== undefined))
		errors.push({ pointer: "/origin", message: "is where all requests go: leave out flag and origins, or this" });
	else if (origin === undefined && flag === undefined && origins === undefined)
		errors.push({ pointer: "/origin", message: "is required, or flag with origins" });
	if (flag !== undefined && origins === undefined)
		errors.push({ pointer: "/origins", message: `is required: an origin for each variant of ${flag}` });
	if (flag === undefined && origins !== undefined)
		errors.push({ pointer: "/flag", message: "is required: its variant decides the origin" });
	const variants = flag === undefined ? undefined : flags.get(flag);
	if (flag !== undefined && !variants) errors.push({ pointer: "/flag", message: `there is no flag ${flag}` });
	if (flag !== undefined && variants && origins) errors.push(...originErrors(flag, variants, Object.keys(origins)));
	forward.forEach((each, i) => {
		if (!flags.has(each)) errors.push({ pointer: `/forward/${i}`, message: `there is no flag ${each}` });
	});
	if (shadow && !origins)
		errors.push({ pointer: "/shadow", message: "compares the origins of a flag's variants, and this route has none" });
	if (shadow && origins && !Object.hasOwn(origins, shadow.variant))
		errors.push({ pointer: "/shadow/variant", message: `"${shadow.variant}" has no origin: ${Object.keys(origins).join(", ")} have` });
	const places: [pointer: string, NonNullable<Route["origin"]>][] = Object.entries(origins ?? {}).map(([variant, each]) => [
		pointerTo(["origins", variant]),
		each,
	]);
	for (const [pointer, each] of [...(origin === undefined ? [] : [["/origin", origin] as const]), ...places]) {
		const message = typeof each === "string" ? refusal(each) : bindingRefusal(each.service);
		if (message !== undefined) errors.push({ pointer, message });
	}
	return errors;
}

function bindingRefusal(name: string): string | undefined {
	return OWN_BINDINGS.includes(name) ? `${name} is a binding of Tidegate's own` : undefined;
}

function originErrors(flag: string, variants: readonly string[], named: readonly string[]): FieldError[] {
	const missing = variants.filter((variant) => !named.includes(variant));
	const unknown = named.filter((variant) => !variants.includes(variant));
	return [
		...(missing.length > 0
			? [{ pointer: "/origins", message: `has no origin for ${missing.join(", ")}: flag ${flag} has ${variants.join(", ")}` }]
			: []),
		...unknown.map((variant) => ({
			pointer: pointerTo(["origins", variant]),
			message: `flag ${flag} has no variant "${variant}": it has ${variants.join(", ")}`,
		})),
	];
}

const DAY_MS = 86_400_000;
const DAYS_MAX = 7;

/** `untilMs` is what `until` says. */
export function checkProtection(given: Protection, untilMs: number, segments: ReadonlySet<string>, nowMs: number): FieldError[] {
	const errors: FieldError[] = [];
	if (untilMs <= nowMs) errors.push({ pointer: "/until", message: "is over already" });
	if (untilMs > nowMs + DAYS_MAX * DAY_MS)
		errors.push({ pointer: "/until", message: `is more than ${DAYS_MAX} days ahead: nothing is switched for longer, set it anew` });
	if (given.kind === "shed") return errors;
	given.segments.forEach((segment, i) => {
		if (!segments.has(segment)) errors.push({ pointer: `/segments/${i}`, message: `there is no segment ${segment}` });
	});
	return errors;
}
