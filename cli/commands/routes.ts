import * as z from "zod";
import { route as routeSchema } from "../../core/gateway/model";
import { type Route, route, routes } from "../answers";
import type { Call, Command } from "../command";
import { wouldSend } from "../command";
import { type Control, type Write, problemIn } from "../controlApi";
import { Stop, failure, usageError } from "../exit";
import { type Paint, table } from "../output";
import { inFile, orStop, readText } from "../planFile";
import { type Source, readYaml } from "../positions";

const WRITES = ["environment", "reason", "dry-run"] as const;
const validated = z.looseObject({ warnings: z.array(z.string()) });

export const routesList: Command = {
	name: "routes list",
	takes: "",
	about: "The gateway's routes: which requests go where",
	options: ["environment"],
	examples: ["tidegate routes list", "tidegate routes list --json | jq -r '.[].host' | sort -u"],
	async run({ control, environment, paint, note }) {
		const found = await control().get("/gateway/routes", routes, { environment });
		if (found.damaged.length > 0) note(`cannot be read: ${found.damaged.join(", ")}. Put them again, or delete them`);
		const text = found.routes.length > 0 ? routeTable(found.routes, paint) : `there are no routes in ${environment}`;
		return { json: found.routes, text };
	},
};

export const routesGet: Command = {
	name: "routes get",
	takes: "<route>",
	about: "One route, as routes put takes it",
	options: ["environment"],
	examples: ["tidegate routes get shop > shop.json"],
	notes: "Its version, and when it was written: routes list --json.",
	async run({ args: [key = ""], control, environment }) {
		const found = await control().get(`/gateway/routes/${encodeURIComponent(key)}`, route, { environment });
		const written = Object.fromEntries(Object.entries(found).filter(([name]) => Object.hasOwn(routeSchema.shape, name)));
		return { json: written, text: JSON.stringify(written, null, 2) };
	},
};

export const routesValidate: Command = {
	name: "routes validate",
	takes: "",
	about: "Asks control whether the route in --file could be written, and writes nothing",
	options: ["file", "environment"],
	examples: ["tidegate routes validate --file shop.yaml", "tidegate routes validate -f - --json < shop.yaml"],
	async run(call) {
		const read = await readRoute("validate", call);
		const write: Write = {
			method: "POST",
			path: "/gateway/routes/validate",
			query: { environment: call.environment },
			body: read.source.value,
		};
		const found = await call
			.control()
			.send(write, validated)
			.catch((error: unknown) => {
				throw inFile(error, read, routeSchema, call.environment);
			});
		for (const warning of found.warnings) call.note(warning);
		return { json: found, text: `${read.name} is a route that ${call.environment} can take` };
	},
};

export const routesPut: Command = {
	name: "routes put",
	takes: "",
	about: "Creates or replaces the route in --file (YAML or JSON, - is stdin)",
	options: ["file", ...WRITES],
	examples: ['tidegate routes put --file shop.yaml --reason "green is ready"', "tidegate routes put -f shop.yaml --dry-run"],
	notes:
		"The file's key says which route. Somebody else's change since it was looked at is not overwritten. docs/gateway.md has the fields.",
	async run(call) {
		const read = await readRoute("put", call);
		const { source } = read;
		const { key } = (source.value ?? {}) as { readonly key?: unknown };
		if (typeof key !== "string" || key === "") throw failure(`${read.name} has no key, and nothing was sent`);
		const control = call.control();
		const write = await writeOf(control, call, key, source.value);
		if (call.options["dry-run"]) return wouldSend(control, [write]);
		const put = await control.send(write, route).catch((error: unknown) => {
			throw inFile(error, read, routeSchema, call.environment);
		});
		for (const warning of put.warnings) call.note(warning);
		return { json: put, text: `${put.key} routes ${put.host}${put.path} in ${call.environment} within 10 s (version ${put.version})` };
	},
};

export const routesDelete: Command = {
	name: "routes delete",
	takes: "<route>",
	about: "Deletes a route: with its last one a host is proxied no more",
	options: WRITES,
	examples: ['tidegate routes delete shop --reason "moved"'],
	async run(call) {
		const {
			args: [key = ""],
			environment,
			options,
		} = call;
		const control = call.control();
		const path = `/gateway/routes/${encodeURIComponent(key)}`;
		const query = { environment, reason: options.reason };
		const version = await versionOf(control, key, environment);
		// One that is not there is refused by control, in its words.
		const write: Write = { method: "DELETE", path, query, ...(version === undefined ? {} : { ifMatch: version }) };
		if (options["dry-run"]) return wouldSend(control, [write]);
		await control.send(write, z.unknown());
		return { json: { deleted: key }, text: `${key} is deleted in ${environment}` };
	},
};

async function readRoute(command: string, { options: { file }, world }: Call) {
	if (file === undefined) throw usageError(`routes ${command} takes --file: the route as YAML or JSON`);
	const text = await readText(file, world);
	const read = readYaml(text);
	return orStop<{ readonly name: string; readonly text: string; readonly source: Source }>({ name: file, text, ...read }, file);
}

async function writeOf(control: Control, { environment, options }: Call, key: string, body: unknown): Promise<Write> {
	const query = { environment, reason: options.reason };
	const version = await versionOf(control, key, environment);
	if (version === undefined) return { method: "POST", path: "/gateway/routes", query, body };
	return { method: "PUT", path: `/gateway/routes/${encodeURIComponent(key)}`, query, body, ifMatch: version };
}

/** undefined: there is none. */
async function versionOf(control: Control, key: string, environment: string): Promise<number | undefined> {
	try {
		return (await control.get(`/gateway/routes/${encodeURIComponent(key)}`, route, { environment })).version;
	} catch (error) {
		if (error instanceof Stop && problemIn(error)?.type.endsWith(":route_missing")) return undefined;
		throw error;
	}
}

function routeTable(found: readonly Route[], paint: Paint): string {
	const rows = found.map((each) => [
		each.key,
		each.host,
		each.path,
		each.methods?.join(",") ?? "all",
		each.flag ?? originText(each.origin),
		each.shadow ? `${each.shadow.variant}, ${each.shadow.sample} %` : "",
		String(each.version),
	]);
	return table(["ROUTE", "HOST", "PATH", "METHODS", "GOES BY", "COMPARES", "VERSION"], rows, paint);
}

const originText = (origin: Route["origin"]): string => (typeof origin === "object" ? origin.service : (origin ?? ""));
