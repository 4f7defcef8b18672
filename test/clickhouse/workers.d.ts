/** The Workers' types that the code under test names, without the globals that would replace Node's. */
type D1Database = import("@cloudflare/workers-types").D1Database;
type D1PreparedStatement = import("@cloudflare/workers-types").D1PreparedStatement;
type AnalyticsEngineDataset = import("@cloudflare/workers-types").AnalyticsEngineDataset;
type AnalyticsEngineDataPoint = import("@cloudflare/workers-types").AnalyticsEngineDataPoint;
