"""The kinds of panel that the dashboard uses, with the settings that all panels of a kind share.

Each panel has an `About`: its question, how to read the answer, what to do. That is its description in Grafana, and its
entry in `docs/dashboard.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import NamedTuple, TypeAlias, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus as promql
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.style import NEUTRAL, Steps, Words, mapping

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Builder: TypeAlias = bargauge.Panel | heatmap.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
B = TypeVar("B", bargauge.Panel, heatmap.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


class About(NamedTuple):
    """The question of a panel, how to read its answer, and what to do."""

    title: str
    question: str
    reading: str
    action: str

    @property
    def description(self) -> str:
        """As Grafana shows it, which reads Markdown."""
        return f"**{self.question}**\n\n{self.reading}\n\n**What to do:** {self.action[0].upper()}{self.action[1:]}"


class Query(NamedTuple):
    """An expression, the legend of its series, and the smallest step of its range."""

    expression: str
    legend: str = ""
    step: str | None = None


class Size(NamedTuple):
    """The size of a panel: the dashboard is 24 columns wide; a row of the grid is 30 pixels high."""

    width: int
    height: int


def _query(query: Query, index: int) -> promql.Dataquery:
    built = promql.Dataquery().expr(query.expression).ref_id(ascii_uppercase[index]).datasource(DATASOURCE)
    if query.legend:
        built = built.legend_format(query.legend)
    return built.interval(query.step) if query.step else built


POINTS = 120
"""Points of a line from left to right. Each costs Prometheus about 15 ms of CPU for a thousand endpoints' buckets."""


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _common(panel: B, about: About, size: Size, unit: str, steps: Steps) -> B:
    return (
        panel.title(about.title)
        .description(about.description)
        .datasource(DATASOURCE)
        .span(size.width)
        .height(size.height)
        .unit(unit)
        .thresholds(_thresholds(steps))
    )


def _colour(name: str) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": name})


def _name(text: str) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val="displayName", value=text)


def _series(panel: B, series: Mapping[str, tuple[str, str]]) -> B:
    """Give these series their names and their colours."""
    for name, (text, colour) in series.items():
        panel = panel.override_by_name(name, [_name(text), _colour(colour)])
    return panel


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def number(
    about: About,
    size: Size,
    *queries: Query,
    unit: str,
    steps: Steps = NEUTRAL,
    words: Words | None = None,
    series: Mapping[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
    no_value: str = "No data: is the exporter scraped?",
) -> stat.Panel:
    """One present value, or a few. `words` replace numbers; `series` names and colours several series."""
    named = series is not None or len(queries) > 1 or any(query.legend for query in queries)
    panel = (
        _common(stat.Panel(), about, size, unit, steps)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .mappings(mapping(words or {}))
        .no_value(no_value)
        .reduce_options(_last())
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .justify_mode(common_model.BigValueJustifyMode.AUTO)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME if named else common_model.BigValueTextMode.VALUE)
        .orientation(common_model.VizOrientation.AUTO)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    for index, query in enumerate(queries):
        panel = panel.with_target(_query(query, index).instant().format(PromQueryFormat.TIME_SERIES))
    return _series(panel, series or {})


def bars(
    about: About, size: Size, query: Query, *, unit: str, steps: Steps = NEUTRAL, most: float | None = None
) -> bargauge.Panel:
    """A bar for the present value of each of a few series."""
    panel = (
        _common(bargauge.Panel(), about, size, unit, steps)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .min(0)
        .no_value("Nothing to show")
        .reduce_options(_last())
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .show_unfilled(True)
        .with_target(_query(query, 0).instant().format(PromQueryFormat.TIME_SERIES))
    )
    return panel if most is None else panel.max(most)


@dataclass(frozen=True)
class Graph:
    """How a graph is drawn."""

    stacked: bool = False
    bars: bool = False
    steps: Steps = NEUTRAL
    """Thresholds; drawn as dashed lines where there are several."""
    series: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Name and colour of a series by its legend."""
    dashed: tuple[str, ...] = ()
    """Names of series that are of another kind than the rest."""
    least: float | None = 0
    most: float | None = None
    calcs: tuple[str, ...] = ("lastNotNull", "max")
    links: Sequence[build.DashboardLink] = ()


def graph(about: About, size: Size, *queries: Query, unit: str, drawn: Graph | None = None) -> timeseries.Panel:
    """Series over time. The legend is a table; the tooltip shows every series, the greatest first."""
    drawn = drawn or Graph()
    panel = (
        _common(timeseries.Panel(), about, size, unit, drawn.steps)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .no_value("No data")
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(list(drawn.calcs))
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .draw_style(common_model.GraphDrawStyle.BARS if drawn.bars else common_model.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(60 if drawn.stacked else 5)
        .show_points(common_model.VisibilityMode.NEVER if drawn.bars else common_model.VisibilityMode.AUTO)
        .stacking(
            common.StackingConfig()
            .mode(common_model.StackingMode.NORMAL if drawn.stacked else common_model.StackingMode.NONE)
            .group("A")
        )
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                common_model.GraphTresholdsStyleMode.DASHED
                if len(drawn.steps) > 1
                else common_model.GraphTresholdsStyleMode.OFF
            )
        )
    )
    if drawn.links:
        panel = panel.data_links([*drawn.links])
    if drawn.least is not None:
        panel = panel.min(drawn.least)
    if drawn.most is not None:
        panel = panel.max(drawn.most)
    for index, query in enumerate(queries):
        panel = panel.with_target(_query(query, index).range().format(PromQueryFormat.TIME_SERIES))
    panel = _series(panel.max_data_points(POINTS), drawn.series)
    for name in drawn.dashed:
        style = {"fill": "dash", "dash": [6, 4]}
        panel = panel.override_by_name(
            name,
            [
                model.DynamicConfigValue(id_val="custom.lineStyle", value=style),
                model.DynamicConfigValue(id_val="custom.lineWidth", value=2),
                model.DynamicConfigValue(id_val="custom.stacking", value={"mode": "none", "group": "B"}),
                model.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            ],
        )
    return panel


def heat(about: About, size: Size, query: Query) -> heatmap.Panel:
    """How many probes took how long, from the buckets of a histogram of seconds."""
    return (
        _common(heatmap.Panel(), about, size, "s", NEUTRAL)
        .no_value("No data")
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .fill("dark-orange")
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(common_model.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit("short").decimals(0))
        .cell_gap(1)
        .scale_distribution(common.ScaleDistributionConfig().type(common_model.ScaleDistribution.LINEAR))
        .show_tooltip()
        .show_legend()
        .max_data_points(POINTS)
        .with_target(_query(query, 0).range().format(PromQueryFormat.HEATMAP))
    )


def timeline(
    about: About, size: Size, query: Query, words: Words, steps: Steps, links: Sequence[build.DashboardLink]
) -> statetimeline.Panel:
    """A band for each series, coloured and worded by its state."""
    return (
        _common(statetimeline.Panel(), about, size, "none", steps)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .mappings(mapping(words))
        .no_value("No data")
        .data_links([*links])
        .merge_values(True)
        .show_value(common_model.VisibilityMode.AUTO)
        .row_height(0.85)
        .fill_opacity(80)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.SINGLE))
        .with_target(_query(query, 0).range().format(PromQueryFormat.TIME_SERIES))
    )


@dataclass(frozen=True)
class Column:
    """A column: its heading, and either the label it shows or the expression whose value it shows."""

    head: str
    label: str = ""
    expression: str = ""
    unit: str = "none"
    steps: Steps = NEUTRAL
    words: Words | None = None
    texts: Sequence[model.ValueMapping] = ()
    links: Sequence[build.DashboardLink] = ()
    decimals: int | None = None
    width: int | None = None
    hidden: bool = False
    """Not shown: queried only for its labels."""


def rows(
    about: About, size: Size, *columns: Column, sort: str, descending: bool = False, no_value: str = "No data"
) -> table.Panel:
    """A table: a row for each set of labels, made of all its expressions; sorted by the column `sort`."""
    panel = (
        _common(table.Panel(), about, size, "none", NEUTRAL)
        .no_value(no_value)
        .show_header(True)
        .cell_height(common_model.TableCellHeight.SM)
        .sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    )
    measured = [column for column in columns if column.expression]
    names = {column.head: column.label for column in columns if column.label}
    for index, column in enumerate(measured):
        query = Query(column.expression)
        panel = panel.with_target(_query(query, index).instant().format(PromQueryFormat.TABLE))
        names[column.head] = f"Value #{ascii_uppercase[index]}"
    # If only one query returns rows, Grafana names its value `Value`. That is the first query, which has all the rows.
    visible = [column for column in columns if not column.hidden]
    heads = {names[column.head]: column.head for column in visible} | {"Value": measured[0].head}
    shown = [name for column in visible for name, head in heads.items() if head == column.head]
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={})).with_transformation(
        # Columns are named one by one, so that a label added by relabelling does not become a column.
        model.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": shown}, "byVariable": False}
        )
    )
    panel = panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {name: index for index, name in enumerate(shown)},
                "renameByName": heads,
            },
        )
    )
    for column in visible:
        panel = panel.override_by_name(column.head, _properties(column))
    return panel


def _properties(column: Column) -> list[model.DynamicConfigValue]:
    found: list[tuple[str, object]] = []
    if column.expression:
        found.append(("unit", column.unit))
        found.append(("thresholds", _thresholds(column.steps).build()))
    if column.words or column.texts:
        found.append(("mappings", [*mapping(column.words or {}), *column.texts]))
    if column.words or column.texts or len(column.steps) > 1:
        found.append(("custom.cellOptions", {"type": "color-text"}))
    if column.decimals is not None:
        found.append(("decimals", column.decimals))
    if column.width is not None:
        found.append(("custom.width", column.width))
    if column.links:
        found.append(("links", [link.build() for link in column.links]))
    return [model.DynamicConfigValue(id_val=name, value=value) for name, value in found]
