"""The reps' and managers' screens: tasks, customers, quotes, leads, deals, rules, metrics."""

from sales.admin import automations, customers, metrics, pipeline, quotes, tasks

__all__ = ["automations", "customers", "metrics", "pipeline", "quotes", "tasks"]
