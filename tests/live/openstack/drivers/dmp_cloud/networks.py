"""A mechanism driver of Neutron that binds every port at once, with no agent anywhere. No packet flows; states are as an agent
would report them: a bound port and a router's own ports are active, a floating IP is active while it leads somewhere."""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import constants as plugins
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api

OF_ROUTERS = (constants.DEVICE_OWNER_ROUTER_INTF, constants.DEVICE_OWNER_ROUTER_GW, constants.DEVICE_OWNER_FLOATINGIP)


class PaperDriver(api.MechanismDriver):

    def initialize(self):
        for event in (events.AFTER_CREATE, events.AFTER_UPDATE):
            registry.subscribe(self.floating_ip_led, resources.FLOATING_IP, event)

    @property
    def connectivity(self):
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context):
        for segment in context.segments_to_bind[:1]:
            details = {portbindings.CAP_PORT_FILTER: True, portbindings.VIF_DETAILS_CONNECTIVITY: self.connectivity}
            context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OVS, details, status=constants.PORT_STATUS_ACTIVE)

    def create_port_postcommit(self, context):
        self.raise_routers_port(context)

    def update_port_postcommit(self, context):
        self.raise_routers_port(context)

    def raise_routers_port(self, context):
        port = context.current
        if port['device_owner'] in OF_ROUTERS and port['status'] != constants.PORT_STATUS_ACTIVE:
            directory.get_plugin().update_port_status(context._plugin_context, port['id'], constants.PORT_STATUS_ACTIVE)

    def floating_ip_led(self, resource, event, trigger, payload=None):
        now = payload.latest_state
        leads = now.get('fixed_port_id') or now.get('port_id')
        status = constants.FLOATINGIP_STATUS_ACTIVE if leads else constants.FLOATINGIP_STATUS_DOWN
        router = directory.get_plugin(plugins.L3)
        router.update_floatingip_status(payload.context, payload.resource_id or now['id'], status)
