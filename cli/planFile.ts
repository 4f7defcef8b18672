import { readFileSync } from "node:fs";
import * as z from "zod";
import { DEFAULT_SETTINGS, type EnvironmentSettings, withDefaults } from "../core/environmentSettings";
import { fieldErrors } from "../core/flags/fieldErrors";
import type { FieldError } from "../core/flags/model";
import type { Route } from "../core/gateway/model";
import { nearest } from "../core/health/suggest";
import type { MetricDefinition } from "../core/metric";
import type { Plan } from "../core/rollouts/plan";
import { REQUEST_BYTES_MAX, completePlan, plan, withPreset } from "../core/rollouts/writtenPlan";
import { problemIn } from "./controlApi";
import { Stop, failure, usageError } from "./exit";
import { type Mistake, type Source, excerpt, readYaml } from "./positions";
import type { World } from "./world";

/** A plan in a file, checked by what control checks it with; what only control knows, whether the flags are there, it says itself. */

export interface PlanFile {
	readonly name: string;
	readonly text: string;
	readonly source: Source;
	/** As it is written, for control. */
	readonly written: unknown;
	/** With its defaults, those of its environment as far as they are known, and the phases that its strategy writes. */
	readonly plan: Plan;
	/** The gateway's, with the flags that they go by. */
	readonly routes: readonly Route[];
}

export interface Mistaken {
	readonly name: string;
	readonly text: string;
	readonly mistakes: readonly Mistake[];
}

/** `-` is stdin. */
export async function readText(name: string, { stdin }: Pick<World, "stdin">): Promise<string> {
	if (name === "-") return stdin.text();
	try {
		return readFileSync(name, "utf8");
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : message;
		throw usageError(`${name} cannot be read: ${why}`);
	}
}

export function readPlan(
	name: string,
	text: string,
	metrics: readonly MetricDefinition[],
	defaults: EnvironmentSettings["defaults"] = DEFAULT_SETTINGS.defaults,
): PlanFile | Mistaken {
	const read = readYaml(text);
	if ("mistakes" in read) return { name, text, mistakes: read.mistakes };
	const { source } = read;
	const parsed = plan.safeParse(source.value);
	const complete = parsed.success
		? completePlan(withDefaults(withPreset(parsed.data), fieldsOf(source.value), defaults), metrics)
		: { plan: undefined, routes: [], errors: fieldErrors(parsed.error.issues, source.value) };
	const errors = [...complete.errors, ...tooLarge(source.value)];
	if (!complete.plan || errors.length > 0) return { name, text, mistakes: errors.map((each) => placed(each, source)).sort(byPlace) };
	return { name, text, source, written: source.value, plan: complete.plan, routes: complete.routes };
}

/** What control would refuse as a request, told at the field that is the largest. */
function tooLarge(written: unknown): FieldError[] {
	const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value) ?? "");
	const bytes = bytesOf(written);
	if (bytes <= REQUEST_BYTES_MAX || typeof written !== "object" || written === null) return [];
	const [largest] = Object.entries(written).sort(([, a], [, b]) => bytesOf(b) - bytesOf(a));
	const message = `the plan has ${bytes} bytes as JSON > limit ${REQUEST_BYTES_MAX}, most of them here: keys can be listed in a segment`;
	return [{ pointer: `/${largest?.[0] ?? ""}`, message }];
}

/** The fields that somebody wrote. */
export const fieldsOf = (written: unknown): string[] => (typeof written === "object" && written !== null ? Object.keys(written) : []);

const byPlace = (a: Mistake, b: Mistake): number => a.line - b.line || a.column - b.column;

/** An error with its place, and with what was probably meant. */
export function placed({ pointer, message }: FieldError, source: Source, schema: z.ZodType = plan): Mistake {
	const isName = message === "unknown field";
	const found = valueAt(pointer, source.value);
	// A criterion's mistake is told by its character; an optional criterion is an object around its text.
	const character = Number(/\(at character (\d+)\)$/.exec(message)?.[1] ?? 1);
	const field = character > 1 && typeof found === "object" ? `${pointer}/criterion` : pointer;
	const position = source.positionOf(field, isName ? "name" : "value", character);
	return { ...position, field: pointer, message: `${message}${isName ? meantBy(pointer, schema) : ""}` };
}

function valueAt(pointer: string, whole: unknown): unknown {
	const parts = pointer.split("/").slice(1);
	return parts.reduce<unknown>(
		(of, part) => (typeof of === "object" && of !== null ? (of as Record<string, unknown>)[part] : undefined),
		whole,
	);
}

function meantBy(pointer: string, schema: z.ZodType): string {
	const parts = pointer.split("/").slice(1);
	const known = fieldsAt(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema, parts.slice(0, -1));
	const meant = nearest(parts.at(-1) ?? "", known);
	// A known name is in another place.
	if (meant !== undefined && meant !== parts.at(-1)) return `: did you mean "${meant}"?`;
	return known.length > 0 ? `: it is one of ${known.join(", ")}` : "";
}

interface Schema {
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly items?: Schema;
	readonly anyOf?: readonly Schema[];
	readonly oneOf?: readonly Schema[];
}

function fieldsAt(schema: Schema | undefined, [part, ...rest]: readonly string[]): string[] {
	const choices = [...(schema?.anyOf ?? []), ...(schema?.oneOf ?? [])];
	const own = schema?.properties ?? {};
	const found = part === undefined ? Object.keys(own) : fieldsAt(/^\d+$/.test(part) ? schema?.items : own[part], rest);
	return [...new Set([...found, ...choices.flatMap((each) => fieldsAt(each, part === undefined ? [] : [part, ...rest]))])];
}

/** `plan.yaml:7:14: /phases/0/percent: …`, as editors and terminals make it a link. */
export function printMistakes({ name, text, mistakes }: Mistaken): string {
	return mistakes
		.map((each) => {
			const where = `${name === "-" ? "stdin" : name}:${each.line}:${each.column}: ${each.field === "" ? "" : `${each.field}: `}`;
			return `${where}${each.message}\n${excerpt(text, each).replace(/^/gm, "    ")}`;
		})
		.join("\n");
}

export function orStop<T extends object>(read: T | Mistaken, what: string): T {
	if (!("mistakes" in read)) return read;
	const count = `${read.mistakes.length} ${read.mistakes.length === 1 ? "mistake" : "mistakes"}`;
	throw failure(`${what} has ${count}, and nothing was sent\n${printMistakes(read)}`, { valid: false, errors: read.mistakes });
}

/** What control refuses, at its place in the file. */
export function inFile(
	error: unknown,
	{ name, text, source }: Pick<PlanFile, "name" | "text" | "source">,
	schema: z.ZodType = plan,
	environment?: string,
): unknown {
	const errors = problemIn(error)?.errors;
	if (!(error instanceof Stop) || errors === undefined) return error;
	const mistakes = errors.map((each) => placed(each, source, schema));
	return new Stop(
		error.exit,
		`control refuses ${name}${environment === undefined ? "" : ` for ${environment}`}\n${printMistakes({ name, text, mistakes })}`,
		{
			...error.details,
			errors: mistakes,
		},
	);
}
