"""The plugin's pages. Airflow mounts plugin apps without any login, so every route asks for Airflow's own user."""

from __future__ import annotations

from pathlib import Path

from airflow.api_fastapi.core_api.security import requires_authenticated
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response

from tradewind.hooks.tradewind import TradewindHook
from tradewind.ui.overview import render_overview_page
from tradewind.ui.state_picture import draw_state_svg

app = FastAPI(title="Tradewind", dependencies=[Depends(requires_authenticated())], docs_url=None, openapi_url=None)


@app.get("/", response_class=HTMLResponse)
def serve_overview() -> str:
    """Champion, newest candidate, last decisions and open incidents of every pipeline."""
    hook = TradewindHook()
    return render_overview_page(hook.ledger_url(), Path(hook.get_conn().reports))


@app.get("/state/{pipeline}.svg")
def serve_state_picture(pipeline: str) -> Response:
    """How a pipeline stands now, as the picture that the documentation of its DAGs shows."""
    picture = draw_state_svg(TradewindHook().ledger_url(), pipeline)
    return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@app.get("/reports/{path:path}", response_class=FileResponse)
def serve_report(path: str) -> FileResponse:
    """One self-contained report; nothing outside the folder of reports."""
    folder = Path(TradewindHook().get_conn().reports).resolve()
    file = (folder / path).resolve()
    if not file.is_relative_to(folder) or file.suffix != ".html" or not file.is_file():
        raise HTTPException(404, f"there is no report {path}; it may have been written on another machine")
    return FileResponse(file, media_type="text/html")
