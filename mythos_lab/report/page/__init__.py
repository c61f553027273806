"""A page of results: what stands on it as plain data, and its forms: HTML, Markdown, LaTeX, CSV, SVG, PDF."""

from mythos_lab.report.page.charts import Axis as Axis
from mythos_lab.report.page.charts import Bars as Bars
from mythos_lab.report.page.charts import Chart as Chart
from mythos_lab.report.page.charts import Curves as Curves
from mythos_lab.report.page.charts import Grid as Grid
from mythos_lab.report.page.charts import Intervals as Intervals
from mythos_lab.report.page.charts import Parallel as Parallel
from mythos_lab.report.page.charts import Points as Points
from mythos_lab.report.page.charts import Series as Series
from mythos_lab.report.page.files import PAGE as PAGE
from mythos_lab.report.page.files import write_page as write_page
from mythos_lab.report.page.page import Commands as Commands
from mythos_lab.report.page.page import Fact as Fact
from mythos_lab.report.page.page import Figure as Figure
from mythos_lab.report.page.page import Finding as Finding
from mythos_lab.report.page.page import Page as Page
from mythos_lab.report.page.page import Section as Section
from mythos_lab.report.page.page import Tabled as Tabled
