// Example flags and an SDK key for a new local instance. What is there already is left as it is.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const FLAGS = [
	{ key: "new-checkout", type: "boolean", description: "the one-page checkout; off until its rollout opens it" },
	{
		key: "search-ranking",
		type: "string",
		variants: { classic: "bm25", neural: "neural-v2" },
		offVariant: "classic",
		fallthrough: "classic",
		rules: [
			{
				id: "staff",
				description: "employees try it first",
				when: { attribute: "group", op: "in", values: ["staff", "beta"] },
				serve: "neural",
			},
		],
		description: "which ranking answers searches",
	},
	{
		key: "page-size",
		type: "number",
		variants: { small: 20, large: 50 },
		offVariant: "small",
		fallthrough: [
			{ variant: "small", weight: 50_000 },
			{ variant: "large", weight: 50_000 },
		],
		description: "results a page, half and half",
	},
];

/** Returns the SDK key of production; it is shown once by the API, so it is kept in `file`. */
export async function seed({ control, token, file }) {
	const call = async (method, path, body) => {
		const response = await fetch(`${control}/api/v1${path}`, {
			method,
			headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
		});
		if (!response.ok) throw new Error(`seeding: ${method} ${path}: ${response.status} ${await response.text()}`);
		return response.json();
	};
	const { flags } = await call("GET", "/flags?environment=production");
	const isNew = flags.length === 0;
	// oxlint-disable-next-line no-await-in-loop -- a handful, in this order
	if (isNew) for (const flag of FLAGS) await call("POST", "/flags?environment=production", flag);

	const kept = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
	const { keys } = await call("GET", "/keys?environment=production");
	if (kept && keys.some(({ id, revokedAtMs }) => id === kept.id && revokedAtMs === null)) return kept.key;
	const made = await call("POST", "/keys", { environment: "production", name: "local development" });
	writeFileSync(file, JSON.stringify({ id: made.id, key: made.key }), { mode: 0o600 });
	return made.key;
}
