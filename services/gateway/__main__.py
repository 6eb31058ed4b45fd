"""python -m services.gateway"""

from services.gateway.app import open_app
from services.gateway.settings import Settings
from services.mesh.server import run
from services.mesh.settings import read

if __name__ == "__main__":
    run("gateway", read(Settings), open_app)
