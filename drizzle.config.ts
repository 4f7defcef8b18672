import { defineConfig } from "drizzle-kit";
export default defineConfig({
	dialect: "sqlite",
	schema: ["./control/store/schema.ts", "./control/metrics/schema.ts"],
	out: "./migrations",
});
